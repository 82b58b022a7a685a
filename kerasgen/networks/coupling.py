"""Networks that give the parameters of a coupling. Their last layer starts at zero: the coupling is then the identity.

Each takes the shape of the part that is read and the shape of the outputs, both without the batch.
"""

import keras
from keras import layers, ops

from kerasgen.networks.build import Dtype, Network, Shape, conv, float_input
from kerasgen.networks.layers.convolution import Conv2D
from kerasgen.typing import Config, Tensor


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
    x = inputs = float_input(input_shape, "kept")
    x = Conv2D(width, 3, use_bias=False, name="conv_1", dtype=dtype)(x)
    x = PositionBias(dtype=dtype, name="position_bias")(x)
    x = layers.ReLU(dtype=dtype, name="relu")(x)
    x = Conv2D(width, 1, activation="relu", name="conv_2", dtype=dtype)(x)
    x = _outputs(x, output_shape, 3, dtype)
    return keras.Model(inputs, x, name=name)


def residual_coupling(
    input_shape: Shape, output_shape: Shape, width: int, name: str, dtype: Dtype = None
) -> keras.Model:
    """Two residual blocks of two 3 x 3 convolutions (Dinh et al. 2017, "Real NVP", section 4.1)."""
    x = inputs = float_input(input_shape, "kept")
    x = Conv2D(width, 3, name="conv", dtype=dtype)(x)
    for block in (1, 2):
        h = layers.ReLU(dtype=dtype, name=f"relu_{block}")(x)
        h = Conv2D(width, 3, activation="relu", name=f"block_{block}_conv_1", dtype=dtype)(h)
        h = Conv2D(width, 3, name=f"block_{block}_conv_2", dtype=dtype)(h)
        x = layers.Add(dtype=dtype, name=f"add_{block}")([x, h])
    x = layers.ReLU(dtype=dtype, name="relu")(x)
    return keras.Model(inputs, _outputs(x, output_shape, 1, dtype), name=name)


def linear_coupling(input_shape: Shape, output_shape: Shape, width: int, name: str, dtype: Dtype = None) -> keras.Model:
    """One 3 x 3 convolution; `width` is not used."""
    inputs = float_input(input_shape, "kept")
    return keras.Model(inputs, _outputs(inputs, output_shape, 3, dtype), name=name)


class PaddedLinear(Network):
    """One 3 x 3 convolution, with ones around the image; `width` is not used.

    So a Glow of others tells the places at the border (`Conv2dZeros` of Kingma and Dhariwal's code).
    """

    def __init__(self, input_shape: Shape, output_shape: Shape, width: int, name: str, dtype: Dtype = None):
        super().__init__(name, dtype=dtype)
        with keras.name_scope(name):
            settings: Config = {"padding": "valid", "kernel_initializer": "zeros"}
            self.out = conv(input_shape[-1], output_shape[-1], 3, "out", self.dtype_policy, **settings)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return self.out(ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=1.0))


class PaddedCoupling(Network):
    """Convolutions of 3 x 3, 1 x 1 and 3 x 3, the last of them a `PaddedLinear`."""

    def __init__(self, input_shape: Shape, output_shape: Shape, width: int, name: str, dtype: Dtype = None):
        super().__init__(name, dtype=dtype)
        dtype = self.dtype_policy
        with keras.name_scope(name):
            self.conv_1 = conv(input_shape[-1], width, 3, "conv_1", dtype)
            self.conv_2 = conv(width, width, 1, "conv_2", dtype)
            self.last = PaddedLinear((*input_shape[:-1], width), output_shape, width, "last", dtype)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return self.last(ops.relu(self.conv_2(ops.relu(self.conv_1(x)))))


def _outputs(x, output_shape, size, dtype):
    return Conv2D(output_shape[-1], size, kernel_initializer="zeros", dtype=dtype, name="outputs")(x)
