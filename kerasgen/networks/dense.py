"""Networks of two hidden dense layers: encoder, decoder, and the network of a coupling."""

import math

import keras
from keras import layers

from kerasgen.networks.build import Dtype, Shape


def dense_encoder(shape: Shape, outputs: int, width: int, name: str = "encoder", dtype: Dtype = None) -> keras.Model:
    """Images `[B, H, W, C]` to `[B, outputs]`."""
    return _dense("images", shape, (outputs,), width, "silu", name, dtype)


def dense_decoder(
    inputs: int, output_shape: Shape, width: int, name: str = "decoder", dtype: Dtype = None
) -> keras.Model:
    """Latents `[B, inputs]` to `[B, H, W, C]`, with no activation at the end."""
    return _dense("latents", (inputs,), output_shape, width, "silu", name, dtype)


def dense_coupling(input_shape: Shape, output_shape: Shape, width: int, name: str, dtype: Dtype = None) -> keras.Model:
    """All positions and channels at once; starts at zero, as those in coupling.py."""
    return _dense("kept", input_shape, output_shape, width, "relu", name, dtype, kernel_initializer="zeros")


def _dense(inputs, input_shape, output_shape, width, activation, name, dtype, **last):
    x = inputs = keras.Input(input_shape, name=inputs)
    if len(input_shape) > 1:
        x = layers.Flatten(dtype=dtype, name="flatten")(x)
    for index in (1, 2):
        x = layers.Dense(width, activation=activation, dtype=dtype, name=f"dense_{index}")(x)
    x = layers.Dense(math.prod(output_shape), dtype=dtype, name="outputs", **last)(x)
    if len(output_shape) > 1:
        x = layers.Reshape(output_shape, dtype=dtype, name="reshape")(x)
    return keras.Model(inputs, x, name=name)
