"""Small layers that several networks use."""

from kerasgen.layers.position_bias import PositionBias

__all__ = ["PositionBias"]
