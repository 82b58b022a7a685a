"""Small layers that several networks use."""

from kerasgen.networks.layers.position_bias import PositionBias

__all__ = ["PositionBias"]
