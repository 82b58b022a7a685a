"""Diffusion transformer with adaLN-zero blocks (Peebles and Xie 2023), of images and of videos."""

import math

import numpy as np
from keras import ops

from kerasgen import backend
from kerasgen.errors import InputError
from kerasgen.networks.build import Dtype, Network, Tensor, dense, plain_norm
from kerasgen.networks.geometry import depth_to_space, depth_to_video, space_to_depth, video_to_depth
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
        self.hidden = dense(channels, 4 * channels, "hidden", dtype, activation=backend.gelu)
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
        x = self.last(x, embedding)
        return depth_to_space(ops.reshape(x, (b, h, w, x.shape[-1])), self.patch)

    def last(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Tokens `[B, N, C]` to the values of their patches."""
        shift, scale = ops.split(self.modulation(ops.silu(embedding))[:, None, :], 2, axis=-1)
        return self.out(plain_norm(x) * (1.0 + scale) + shift)


class VideoDiT(DiT):
    """`(x, time, one_hot)` to a video like x: `[B, T, H, W, inputs]` to `[B, T, H, W, outputs]`.

    Tokens are blocks of space and time. Attention is factorised: blocks of the transformer look in turn at the places
    of one frame, and at one place in all frames (Ma et al. 2024, "Latte", variant 1).

    Args:
        inputs, outputs, num_classes, width, heads, patch: as of `DiT`.
        depth: blocks, an even number; one half looks over space, the other over time.
        frames: that a token spans.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        num_classes: int | None = None,
        width: int = 96,
        depth: int = 8,
        heads: int = 4,
        patch: int = 4,
        frames: int = 1,
        **kwargs: Any,
    ):
        if depth % 2:
            raise InputError(f"depth is {depth}; a VideoDiT needs an even number of blocks.")
        parts = inputs * frames, outputs * frames
        super().__init__(*parts, num_classes, width, depth, heads, patch, **kwargs)
        self.frames = frames

    def check_size(self, frames: int, height: int, width: int) -> None:
        """Raises `InputError` for sides and lengths that the blocks of a token do not divide."""
        if frames % self.frames:
            raise InputError(f"this VideoDiT takes multiples of {self.frames} frames, not {frames}.")
        super().check_size(height, width)

    def call(self, x: Tensor, time: Tensor, one_hot: Tensor | None = None, training: bool = False) -> Tensor:
        embedding = self.conditioning(time, one_hot)
        x = self.stem(video_to_depth(x, self.frames, self.patch))  # [B, t, h, w, C]
        b, t, h, w, _ = ops.shape(x)
        place = positions(h, w, self.width) + positions(t, 1, self.width)[:, None]  # [t, h w, C]
        x = ops.reshape(x, (b, t, h * w, self.width)) + ops.cast(place, x.dtype)
        for index, block in enumerate(self.blocks):
            x = self.across(block, ops.swapaxes(x, 1, 2), embedding) if index % 2 else self.across(block, x, embedding)
            x = ops.swapaxes(x, 1, 2) if index % 2 else x
        x = self.last(ops.reshape(x, (b, t * h * w, self.width)), embedding)
        return depth_to_video(ops.reshape(x, (b, t, h, w, x.shape[-1])), self.frames, self.patch)

    def across(self, block: Block, x: Tensor, embedding: Tensor) -> Tensor:
        """A block over the third axis of `[B, K, N, C]`, for each of the K alone."""
        b, k, n, c = ops.shape(x)
        y = block(ops.reshape(x, (b * k, n, c)), ops.repeat(embedding, k, axis=0))
        return ops.reshape(y, (b, k, n, c))
