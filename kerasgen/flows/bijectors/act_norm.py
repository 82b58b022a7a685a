"""Activation normalization (Kingma and Dhariwal 2018, "Glow", section 3.1)."""

import numpy as np
from keras import ops

from kerasgen.flows.bijectors.base import (
    Array,
    ChannelMap,
    DataDependentBijector,
    Result,
    Shape,
    Tensor,
    positions,
    repeated,
)

FLOOR = 1e-3  # of standard deviations


class ActNorm(DataDependentBijector, ChannelMap):
    """z = (x + bias) exp(log_scale), with a bias and a scale for each channel.

    log |det dz/dx| = height x width x sum(log_scale). `initialize` gives z mean 0 and variance 1 per channel over the
    examples that it gets; a channel whose standard deviation there is below `FLOOR` keeps its scale.

    Such a channel may be one of unit variance whose rare values all missed the sample: of n examples, 3 / n is as rare
    as can be missed (with probability e^-3), and such values lie at sqrt(n / 3), 18 for n = 1,024. Divided by 1e-3 at
    the least they reach 2e4 and their squares 3e8, far from the largest float32. To divide what is below the floor by
    the floor would do the same at each of the L ActNorms of a flow, a factor of 1e3^L.
    """

    def __init__(self, shape: Shape, name: str = "act_norm"):
        super().__init__(shape, name=name)
        channels = self.shape[-1:]
        self.bias = self.add_weight(shape=channels, initializer="zeros", name="bias")
        self.log_scale = self.add_weight(shape=channels, initializer="zeros", name="log_scale")
        self._initialized = self.make_flag()

    def set_from(self, x: Array) -> None:
        values = x.astype(np.float64).reshape(-1, self.shape[-1])
        self.bias.assign(-values.mean(axis=0))
        stddev = values.std(axis=0)
        self.log_scale.assign(-np.log(np.where(stddev < FLOOR, 1.0, stddev)))

    def forward_and_log_det(self, x: Tensor, condition: Tensor | None = None, training: bool = False) -> Result:
        """Alone it takes no matrix product."""
        return (x + self.bias) * ops.exp(self.log_scale), repeated(self.log_det(), x)

    def inverse_and_log_det(self, z: Tensor, condition: Tensor | None = None, training: bool = False) -> Result:
        return z * ops.exp(-self.log_scale) - self.bias, repeated(-self.log_det(), z)

    def affine(self) -> tuple[Tensor, Tensor]:
        scale = ops.exp(self.log_scale)
        return ops.diag(scale), scale * self.bias

    def inverse_affine(self) -> tuple[Tensor, Tensor]:
        return ops.diag(ops.exp(-self.log_scale)), -ops.convert_to_tensor(self.bias)

    def log_det(self) -> Tensor:
        return positions(self.shape) * ops.sum(self.log_scale)
