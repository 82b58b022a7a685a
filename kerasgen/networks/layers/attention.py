"""Self-attention over the places of an image or the tokens of a sequence (Vaswani et al. 2017)."""

import math

import keras
from keras import layers, ops

from kerasgen.errors import InputError
from kerasgen.typing import Any, Tensor


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(D)) v, `[B, T, heads D]`, of queries, keys and values `[B, T, heads, D]`."""
    batch, places, heads, size = ops.shape(q)
    if k.shape[1] == 1:  # the softmax of one score is 1, of which Keras warns
        return ops.reshape(ops.broadcast_to(v, (batch, places, heads, size)), (batch, places, heads * size))
    scores = ops.einsum("bqhd,bkhd->bhqk", q * size**-0.5, k)
    weights = ops.cast(ops.softmax(ops.cast(scores, "float32")), scores.dtype)
    return ops.reshape(ops.einsum("bhqk,bkhd->bqhd", weights, v), (batch, places, heads * size))


@keras.saving.register_keras_serializable("kerasgen")
class SelfAttention(layers.Layer):
    """`[B, ..., C]` to the same shape: every place is mixed with all others of its image.

    Args:
        channels: C.
        heads: that divide C.
        zero: whether the last layer starts at zero, so that the output does.
    """

    def __init__(self, channels: int, heads: int = 4, zero: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        if channels % heads:
            raise InputError(f"{channels} channels do not divide into {heads} heads.")
        self.channels, self.heads = channels, heads
        self.qkv = layers.Dense(3 * channels, name="qkv", dtype=self.dtype_policy)
        initializer = "zeros" if zero else "glorot_uniform"
        self.out = layers.Dense(channels, kernel_initializer=initializer, name="out", dtype=self.dtype_policy)
        for layer in (self.qkv, self.out):
            layer.build((None, None, channels))
        self.built = True

    def call(self, x: Tensor) -> Tensor:
        shape = ops.shape(x)
        places = math.prod(shape[1:-1])  # T; of an empty batch no -1 could be inferred
        tokens = ops.reshape(x, (shape[0], places, self.channels))  # [B, T, C]
        size = self.channels // self.heads
        parts = ops.split(self.qkv(tokens), 3, axis=-1)
        q, k, v = (ops.reshape(part, (shape[0], places, self.heads, size)) for part in parts)
        return ops.reshape(self.out(attend(q, k, v)), shape)


class Attention(layers.Layer):
    """Self-attention beside a shortcut, with a gate that starts at 0 (Zhang et al. 2019, "SAGAN", equation 3)."""

    def __init__(self, channels: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.attention = SelfAttention(channels, heads=1, name="attention", dtype=self.dtype_policy)
        self.gate = self.add_weight(shape=(), initializer="zeros", name="gate")
        self.built = True

    def call(self, x: Tensor) -> Tensor:
        return x + ops.cast(self.gate, x.dtype) * self.attention(x)
