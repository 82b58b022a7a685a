"""Activation normalization (Kingma and Dhariwal 2018, "Glow", section 3.1)."""

import numpy as np
from keras import ops

from kerasgen.flows.bijectors.base import Array, DataDependentBijector, Result, Shape, Tensor, positions, repeated


class ActNorm(DataDependentBijector):
    """z = (x + bias) exp(log_scale), with a bias and a scale for each channel.

    log |det dz/dx| = height x width x sum(log_scale). `initialize` gives z mean 0 and variance 1 per channel over the
    first batch.
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
        self.log_scale.assign(-np.log(values.std(axis=0) + 1e-6))

    def forward_and_log_det(self, x: Tensor, condition: Tensor | None = None, training: bool = False) -> Result:
        z = (x + self.bias) * ops.exp(self.log_scale)
        return z, repeated(positions(self.shape) * ops.sum(self.log_scale), x)

    def inverse_and_log_det(self, z: Tensor, condition: Tensor | None = None, training: bool = False) -> Result:
        x = z * ops.exp(-self.log_scale) - self.bias
        return x, repeated(-positions(self.shape) * ops.sum(self.log_scale), z)
