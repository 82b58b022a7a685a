"""Convolutional encoder and decoder for images of any size.

Each level halves the sides, rounding up, until one is below 8; the channels double from `width` up to four times it.
The decoder goes the same way back by nearest-neighbour resizing and convolution, which leaves no checkerboards.
"""

import math

import keras
from keras import layers

from kerasgen.networks.build import LAST, Dtype, Shape, float_input
from kerasgen.networks.geometry import channels_of, sides_of
from kerasgen.networks.layers.convolution import Conv2D
from kerasgen.typing import Config


def conv_encoder(shape: Shape, outputs: int, width: int, name: str = "encoder", dtype: Dtype = None) -> keras.Model:
    """Images `[B, H, W, C]` to `[B, outputs]`."""
    levels = len(sides_of(*shape[:2]))
    x = inputs = float_input(shape, "images")
    for level in range(1, max(levels, 2)):
        filters, strides = channels_of(width, level - 1, most=4), 2 if levels > 1 else 1
        x = Conv2D(filters, 4, strides, activation="silu", dtype=dtype, name=f"down_{level}")(x)
    x = Conv2D(x.shape[-1], 3, activation="silu", dtype=dtype, name="conv")(x)
    x = layers.Flatten(LAST, dtype=dtype, name="flatten")(x)
    x = layers.Dense(4 * width, activation="silu", dtype=dtype, name="dense")(x)
    x = layers.Dense(outputs, dtype=dtype, name="outputs")(x)
    return keras.Model(inputs, x, name=name)


def conv_decoder(
    inputs: int, output_shape: Shape, width: int, name: str = "decoder", dtype: Dtype = None
) -> keras.Model:
    """Latents `[B, inputs]` to `[B, H, W, C]`, with no activation at the end."""
    *finer, coarsest = sides_of(*output_shape[:2])
    channels = channels_of(width, max(len(finer), 1) - 1, most=4)
    x = latents = float_input((inputs,), "latents")
    x = layers.Dense(4 * width, activation="silu", dtype=dtype, name="dense")(x)
    x = layers.Dense(math.prod(coarsest) * channels, activation="silu", dtype=dtype, name="unflatten")(x)
    x = layers.Reshape((*coarsest, channels), dtype=dtype, name="reshape")(x)
    x = Conv2D(channels, 3, activation="silu", dtype=dtype, name="conv")(x)
    for level in range(len(finer), 0, -1):
        filters = channels_of(width, level - 2, most=4) if level > 1 else max(width // 2, output_shape[-1])
        resample: Config = {"resample": "enlarge", "sides": finer[level - 1]}
        x = Conv2D(filters, 3, activation="silu", dtype=dtype, name=f"up_{level}", **resample)(x)
    x = Conv2D(output_shape[-1], 3, dtype=dtype, name="outputs")(x)
    return keras.Model(latents, x, name=name)
