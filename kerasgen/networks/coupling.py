"""Networks that give the parameters of a coupling. Their last layer starts at zero: the coupling is then the identity.

Each takes the shape of the part that is read and the shape of the outputs, both without the batch.
"""

import keras
from keras import layers

from kerasgen.networks.build import Dtype, Shape
from kerasgen.typing import Tensor


@keras.saving.register_keras_serializable("kerasgen")
class PositionBias(layers.Layer):
    """x + bias, with a bias `[H, W, C]` that starts at zero: tells a convolution where it is."""

    def build(self, input_shape: tuple) -> None:
        self.bias = self.add_weight(shape=tuple(input_shape)[1:], initializer="zeros", name="bias")

    def call(self, x: Tensor) -> Tensor:
        return x + self.bias


def conv_coupling(input_shape: Shape, output_shape: Shape, width: int, name: str, dtype: Dtype = None) -> keras.Model:
    """Convolutions of 3 x 3, 1 x 1 and 3 x 3 (Kingma and Dhariwal 2018, "Glow", section 3.3).

    The first one has a bias for each position besides, because zero padding alone tells little of where a face is.
    """
    x = inputs = keras.Input(input_shape, name="kept")
    x = layers.Conv2D(width, 3, padding="same", use_bias=False, dtype=dtype, name="conv_1")(x)
    x = PositionBias(dtype=dtype, name="position_bias")(x)
    x = layers.ReLU(dtype=dtype, name="relu")(x)
    x = layers.Conv2D(width, 1, activation="relu", dtype=dtype, name="conv_2")(x)
    x = _outputs(x, output_shape, 3, dtype)
    return keras.Model(inputs, x, name=name)


def residual_coupling(
    input_shape: Shape, output_shape: Shape, width: int, name: str, dtype: Dtype = None
) -> keras.Model:
    """Two residual blocks of two 3 x 3 convolutions (Dinh et al. 2017, "Real NVP", section 4.1)."""
    x = inputs = keras.Input(input_shape, name="kept")
    x = layers.Conv2D(width, 3, padding="same", dtype=dtype, name="conv")(x)
    for block in (1, 2):
        h = layers.ReLU(dtype=dtype, name=f"relu_{block}")(x)
        h = layers.Conv2D(width, 3, padding="same", activation="relu", dtype=dtype, name=f"block_{block}_conv_1")(h)
        h = layers.Conv2D(width, 3, padding="same", dtype=dtype, name=f"block_{block}_conv_2")(h)
        x = layers.Add(dtype=dtype, name=f"add_{block}")([x, h])
    x = layers.ReLU(dtype=dtype, name="relu")(x)
    return keras.Model(inputs, _outputs(x, output_shape, 1, dtype), name=name)


def linear_coupling(input_shape: Shape, output_shape: Shape, width: int, name: str, dtype: Dtype = None) -> keras.Model:
    """One 3 x 3 convolution; `width` is not used."""
    inputs = keras.Input(input_shape, name="kept")
    return keras.Model(inputs, _outputs(inputs, output_shape, 3, dtype), name=name)


def _outputs(x, output_shape, size, dtype):
    settings = {"padding": "same", "kernel_initializer": "zeros", "dtype": dtype, "name": "outputs"}
    return layers.Conv2D(output_shape[-1], size, **settings)(x)
