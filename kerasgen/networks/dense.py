"""Networks of two hidden dense layers: encoder, decoder, and the network of a coupling."""

import math

import keras
from keras import layers

from kerasgen.networks.build import LAST, Dtype, Shape, float_input


def dense_encoder(shape: Shape, outputs: int, width: int, name: str = "encoder", dtype: Dtype = None) -> keras.Model:
    """Images `[B, H, W, C]` to `[B, outputs]`."""
    hidden = _layers(shape, (outputs,), width, "silu", dtype)
    return _chain(float_input(shape, "images"), hidden, name)


def dense_decoder(
    inputs: int, output_shape: Shape, width: int, name: str = "decoder", dtype: Dtype = None
) -> keras.Model:
    """Latents `[B, inputs]` to `[B, H, W, C]`, with no activation at the end."""
    hidden = _layers((inputs,), output_shape, width, "silu", dtype)
    return _chain(float_input((inputs,), "latents"), hidden, name)


def dense_coupling(input_shape: Shape, output_shape: Shape, width: int, name: str, dtype: Dtype = None) -> keras.Model:
    """All positions and channels at once; starts at zero, as those in coupling.py."""
    x = inputs = float_input(input_shape, "kept")
    for layer in _layers(input_shape, output_shape, width, "relu", dtype, kernel_initializer="zeros"):
        x = layer(x)
    return keras.Model(inputs, x, name=name)


def _chain(inputs, hidden, name):
    chain = keras.Sequential([inputs, *hidden], name=name)
    chain.dtype_policy = "float32"  # to which it brings what it reads; its layers have their own
    return chain


def _layers(input_shape, output_shape, width, activation, dtype, **last):
    return [
        *([layers.Flatten(LAST, dtype=dtype, name="flatten")] if len(input_shape) > 1 else []),
        *(layers.Dense(width, activation=activation, dtype=dtype, name=f"dense_{index}") for index in (1, 2)),
        layers.Dense(math.prod(output_shape), dtype=dtype, name="outputs", **last),
        *([layers.Reshape(output_shape, dtype=dtype, name="reshape")] if len(output_shape) > 1 else []),
    ]
