"""Encoder and decoder of two hidden dense layers."""

import math
from typing import Any

import keras
from keras import layers

from kerasgen.networks.build import Shape


def dense_encoder(shape: Shape, outputs: int, width: int, name: str = "encoder", dtype: Any = None) -> keras.Model:
    """Images `[B, H, W, C]` to `[B, outputs]`."""
    network = [
        keras.Input(shape, name="images"),
        layers.Flatten(dtype=dtype, name="flatten"),
        layers.Dense(width, activation="silu", dtype=dtype, name="dense_1"),
        layers.Dense(width, activation="silu", dtype=dtype, name="dense_2"),
        layers.Dense(outputs, dtype=dtype, name="outputs"),
    ]
    return keras.Sequential(network, name=name)


def dense_decoder(
    inputs: int, output_shape: Shape, width: int, name: str = "decoder", dtype: Any = None
) -> keras.Model:
    """Latents `[B, inputs]` to `[B, H, W, C]`, with no activation at the end."""
    network = [
        keras.Input((inputs,), name="latents"),
        layers.Dense(width, activation="silu", dtype=dtype, name="dense_1"),
        layers.Dense(width, activation="silu", dtype=dtype, name="dense_2"),
        layers.Dense(math.prod(output_shape), dtype=dtype, name="outputs"),
        layers.Reshape(output_shape, dtype=dtype, name="reshape"),
    ]
    return keras.Sequential(network, name=name)
