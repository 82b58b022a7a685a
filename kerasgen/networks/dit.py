"""Diffusion transformer with adaLN-zero blocks (Peebles and Xie 2023)."""

import math

import numpy as np
from keras import ops

from kerasgen.errors import InputError
from kerasgen.networks.build import Dtype, Network, Tensor, dense, plain_norm
from kerasgen.networks.geometry import depth_to_space, space_to_depth
from kerasgen.networks.layers.attention import SelfAttention
from kerasgen.networks.layers.conditioning import Conditioning
from kerasgen.typing import Any, Array


def positions(height: int, width: int, channels: int) -> Array:
    """Sines and cosines of the row and of the column, a quarter of the channels each: float32 `[height * width, C]`."""
    quarter = channels // 4
    frequencies = np.exp(np.arange(quarter) * (-math.log(10_000.0) / quarter))
    rows = np.arange(height)[:, None, None] * frequencies  # [height, 1, quarter]
    columns = np.arange(width)[None, :, None] * frequencies
    rows, columns = (np.broadcast_to(a, (height, width, quarter)) for a in (rows, columns))
    waves = [np.sin(rows), np.cos(rows), np.sin(columns), np.cos(columns)]
    return np.concatenate(waves, axis=-1).reshape(height * width, channels).astype(np.float32)


class Block(Network):
    """Attention and a dense network, each normed, scaled, shifted and gated by the embedding; gates start at 0."""

    def __init__(self, channels: int, heads: int, name: str, dtype: Dtype):
        super().__init__(name, dtype=dtype)
        self.modulation = dense(channels, 6 * channels, "modulation", dtype, kernel_initializer="zeros")
        self.attention = SelfAttention(channels, heads, name="attention", dtype=dtype)
        self.hidden = dense(channels, 4 * channels, "hidden", dtype, activation="gelu")
        self.out = dense(4 * channels, channels, "out", dtype)

    def call(self, x: Tensor, embedding: Tensor) -> Tensor:
        parts = ops.split(self.modulation(ops.silu(embedding))[:, None, :], 6, axis=-1)
        shift_a, scale_a, gate_a, shift_b, scale_b, gate_b = parts
        x = x + gate_a * self.attention(plain_norm(x) * (1.0 + scale_a) + shift_a)
        return x + gate_b * self.out(self.hidden(plain_norm(x) * (1.0 + scale_b) + shift_b))


class DiT(Network):
    """`(x, time, one_hot)` to an image like x: `[B, H, W, inputs]` to `[B, H, W, outputs]`, for any H and W that fit.

    Args:
        inputs, outputs: channels.
        num_classes: or `None`.
        width: channels of a token, a multiple of 4 and of `heads`.
        depth: blocks.
        heads: of the attention.
        patch: side of the squares that are tokens.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        num_classes: int | None = None,
        width: int = 96,
        depth: int = 6,
        heads: int = 4,
        patch: int = 4,
        **kwargs: Any,
    ):
        super().__init__("network", **kwargs)
        dtype = self.dtype_policy
        if width % 4:
            raise InputError(f"width is {width}; the positions of a DiT need a multiple of 4.")
        self.width, self.patch = width, patch
        self.conditioning = Conditioning(width, num_classes, name="conditioning", dtype=dtype)
        self.stem = dense(inputs * patch**2, width, "stem", dtype)
        self.blocks = [Block(width, heads, f"block_{index}", dtype) for index in range(depth)]
        self.modulation = dense(width, 2 * width, "modulation", dtype, kernel_initializer="zeros")
        self.out = dense(width, outputs * patch**2, "out", dtype, kernel_initializer="zeros")

    def check_size(self, height: int, width: int) -> None:
        """Raises `InputError` for sides that the patches do not divide."""
        if height % self.patch or width % self.patch:
            raise InputError(f"this DiT takes sides that are multiples of {self.patch}, not {height} x {width}.")

    def call(self, x: Tensor, time: Tensor, one_hot: Tensor | None = None, training: bool = False) -> Tensor:
        embedding = self.conditioning(time, one_hot)
        x = self.stem(space_to_depth(x, self.patch))  # [B, h, w, C]
        b, h, w, _ = ops.shape(x)
        x = ops.reshape(x, (b, h * w, self.width)) + ops.cast(positions(h, w, self.width), x.dtype)
        for block in self.blocks:
            x = block(x, embedding)
        shift, scale = ops.split(self.modulation(ops.silu(embedding))[:, None, :], 2, axis=-1)
        x = self.out(plain_norm(x) * (1.0 + scale) + shift)
        return depth_to_space(ops.reshape(x, (b, h, w, x.shape[-1])), self.patch)
