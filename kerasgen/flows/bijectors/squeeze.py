"""Squeeze: space to channels (Dinh et al. 2017, "Density estimation using Real NVP", section 3.6)."""

import keras
from keras import ops

from kerasgen.errors import InputError
from kerasgen.flows.bijectors.base import Bijector, repeated


@keras.saving.register_keras_serializable("kerasgen")
class Squeeze(Bijector):
    """`[B, H, W, C]` to `[B, H/2, W/2, 4C]`: each 2 x 2 block becomes channels. The log-determinant is 0."""

    def __init__(self, shape, name="squeeze"):
        super().__init__(shape, name=name)
        if len(self.shape) != 3 or self.shape[0] % 2 or self.shape[1] % 2:
            raise InputError(
                f"shape {self.shape} cannot be squeezed: height and width must be even. Use fewer levels, or pad or "
                "resize the images."
            )
        height, width, channels = self.shape
        self.latent_shape = (height // 2, width // 2, 4 * channels)

    def forward_and_log_det(self, x, condition=None, training=False):
        height, width, channels = self.latent_shape
        x = ops.reshape(x, (-1, height, 2, width, 2, channels // 4))
        z = ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, *self.latent_shape))
        return z, repeated(0.0, z)

    def inverse_and_log_det(self, z, condition=None, training=False):
        height, width, channels = self.latent_shape
        z = ops.reshape(z, (-1, height, width, 2, 2, channels // 4))
        x = ops.reshape(ops.transpose(z, (0, 1, 3, 2, 4, 5)), (-1, *self.shape))
        return x, repeated(0.0, x)
