"""Encoder and decoder of two hidden dense layers."""

import math

import keras
from keras import layers


def dense_encoder(image_shape, outputs, width, name="encoder"):
    """Images `[B, H, W, C]` to `[B, outputs]`."""
    network = [
        keras.Input(image_shape, name="images"),
        layers.Flatten(name="flatten"),
        layers.Dense(width, activation="silu", name="dense_1"),
        layers.Dense(width, activation="silu", name="dense_2"),
        layers.Dense(outputs, name="outputs"),
    ]
    return keras.Sequential(network, name=name)


def dense_decoder(inputs, output_shape, width, name="decoder"):
    """Latents `[B, inputs]` to `[B, H, W, C]`, with no activation at the end."""
    network = [
        keras.Input((inputs,), name="latents"),
        layers.Dense(width, activation="silu", name="dense_1"),
        layers.Dense(width, activation="silu", name="dense_2"),
        layers.Dense(math.prod(output_shape), name="outputs"),
        layers.Reshape(output_shape, name="reshape"),
    ]
    return keras.Sequential(network, name=name)
