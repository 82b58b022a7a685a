"""The embedding of the time and of the class that conditions a denoising network."""

import math

import keras
from keras import layers, ops

from kerasgen.typing import Any, Tensor


@keras.saving.register_keras_serializable("kerasgen")
class Conditioning(layers.Layer):
    """Time `[B]` and one-hot labels `[B, K]` (zeros for no class) to an embedding `[B, C]`.

    The time becomes cosines and sines of wave lengths from 2π to 2π 10,000 (Vaswani et al. 2017, section 3.5), then a
    dense network with one hidden layer; the class adds a vector of its own.
    """

    def __init__(self, channels: int, num_classes: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.channels, self.num_classes = channels, num_classes
        self.hidden = layers.Dense(channels, activation="silu", name="hidden", dtype=self.dtype_policy)
        self.out = layers.Dense(channels, name="out", dtype=self.dtype_policy)
        self.hidden.build((None, channels))
        self.out.build((None, channels))
        self.classes = None
        if num_classes is not None:
            self.classes = layers.Dense(channels, use_bias=False, name="classes", dtype=self.dtype_policy)
            self.classes.build((None, num_classes))
        self.built = True

    def call(self, time: Tensor, one_hot: Tensor | None = None) -> Tensor:
        half = self.channels // 2
        frequencies = ops.exp(ops.arange(half, dtype="float32") * (-math.log(10_000.0) / half))
        angles = ops.cast(time, "float32")[:, None] * frequencies
        waves = ops.concatenate([ops.cos(angles), ops.sin(angles)], axis=-1)  # [B, 2 half]
        if 2 * half < self.channels:
            waves = ops.pad(waves, ((0, 0), (0, 1)))
        embedding = self.out(self.hidden(waves))
        if self.classes is not None and one_hot is not None:
            embedding = embedding + self.classes(one_hot)
        return embedding
