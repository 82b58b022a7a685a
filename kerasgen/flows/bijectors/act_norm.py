"""Activation normalization (Kingma and Dhariwal 2018, "Glow", section 3.1)."""

import keras
import numpy as np
from keras import ops

from kerasgen.flows.bijectors.base import Bijector, positions, repeated


@keras.saving.register_keras_serializable("kerasgen")
class ActNorm(Bijector):
    """z = (x + bias) exp(log_scale), with a bias and a scale for each channel.

    log |det dz/dx| = height x width x sum(log_scale). `initialize` gives z mean 0 and variance 1 per channel over the
    first batch; whether that was done is part of the weights, so that it is never done again after loading.
    """

    def __init__(self, shape, name="act_norm"):
        super().__init__(shape, name=name)
        channels = self.shape[-1:]
        self.bias = self.add_weight(shape=channels, initializer="zeros", name="bias")
        self.log_scale = self.add_weight(shape=channels, initializer="zeros", name="log_scale")
        self._initialized = self.add_weight(
            shape=(), initializer="zeros", dtype="int32", trainable=False, name="initialized"
        )

    @property
    def initialized(self):
        return bool(ops.convert_to_numpy(self._initialized))

    def initialize(self, x, condition=None):
        if not self.initialized:
            values = ops.convert_to_numpy(x).astype(np.float64).reshape(-1, self.shape[-1])
            self.bias.assign(-values.mean(axis=0))
            self.log_scale.assign(-np.log(values.std(axis=0) + 1e-6))
            self._initialized.assign(1)
        return self.forward_and_log_det(x)[0]

    def forward_and_log_det(self, x, condition=None, training=False):
        z = (x + self.bias) * ops.exp(self.log_scale)
        return z, repeated(positions(self.shape) * ops.sum(self.log_scale), x)

    def inverse_and_log_det(self, z, condition=None, training=False):
        x = z * ops.exp(-self.log_scale) - self.bias
        return x, repeated(-positions(self.shape) * ops.sum(self.log_scale), z)
