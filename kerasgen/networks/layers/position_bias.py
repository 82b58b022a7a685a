"""A learned bias for each position."""

import keras

from kerasgen.typing import Tensor


@keras.saving.register_keras_serializable("kerasgen")
class PositionBias(keras.layers.Layer):
    """x + bias, with a bias `[H, W, C]` that starts at zero: tells a convolution where it is."""

    def build(self, input_shape: tuple) -> None:
        self.bias = self.add_weight(shape=tuple(input_shape)[1:], initializer="zeros", name="bias")

    def call(self, x: Tensor) -> Tensor:
        return x + self.bias
