"""What networks of diffusers are made of.

The path of a variable names its tensor there: `down_blocks/0/resnets/1/conv1/kernel` is that of
`down_blocks.0.resnets.1.conv1.weight`.
"""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import keras
from keras import layers, ops

from kerasgen.errors import InputError
from kerasgen.networks.build import Dtype, Network, Tensor, conv, dense, group_norm
from kerasgen.networks.layers.attention import attend
from kerasgen.typing import Config


@contextlib.contextmanager
def within(path: str) -> Iterator[None]:
    """Where variables get `path` before their own."""
    with contextlib.ExitStack() as stack:
        for name in filter(None, path.split("/")):
            stack.enter_context(keras.name_scope(name))
        yield


@dataclass(frozen=True)
class Blocks:
    """What all blocks of a network share.

    Args:
        groups, epsilon: of group normalization.
        embedding: features of the time's embedding, or `None` without time.
        scale_shift: whether the embedding scales and shifts, or is added (Nichol and Dhariwal 2021, equation 8).
        attention_groups: of the middle's attention; `None` for no normalization.
        divisor: of the sum of a block and its shortcut.
        dropout: rate in residual blocks.
        head: channels of an attention head, or `None` for one head.
        dtype: policy of layers.
    """

    groups: int = 32
    epsilon: float = 1e-6
    embedding: int | None = None
    scale_shift: bool = False
    attention_groups: int | None = 32
    divisor: float = 1.0
    dropout: float = 0.0
    head: int | None = None
    dtype: Dtype = None

    def norm(self, channels: int, name: str, groups: int | None = None) -> layers.Layer:
        """Group normalization. Raises `InputError`: the groups do not divide the channels."""
        groups = groups or self.groups
        if channels % groups:
            raise InputError(f"{groups} groups of normalization do not divide {channels} channels.")
        return group_norm(channels, name, self.dtype, groups, epsilon=self.epsilon)


class Residual(Network):
    """Normalization, SiLU and 3 x 3 convolution, twice, beside a shortcut; the embedding enters between the two."""

    def __init__(self, inputs: int, filters: int, blocks: Blocks, path: str, divisor: float = 1.0):
        super().__init__(path.replace("/", "_"), dtype=blocks.dtype)
        self.scale_shift, self.divisor = blocks.scale_shift, divisor
        with within(path):
            self.norm1 = blocks.norm(inputs, "norm1")
            self.conv1 = conv(inputs, filters, 3, "conv1", blocks.dtype)
            self.time_emb_proj = None
            if blocks.embedding is not None:
                given = filters * (2 if blocks.scale_shift else 1)
                self.time_emb_proj = dense(blocks.embedding, given, "time_emb_proj", blocks.dtype)
            self.norm2 = blocks.norm(filters, "norm2")
            self.drop = layers.Dropout(blocks.dropout, name="drop", dtype=blocks.dtype) if blocks.dropout else None
            self.conv2 = conv(filters, filters, 3, "conv2", blocks.dtype)
            self.conv_shortcut = conv(inputs, filters, 1, "conv_shortcut", blocks.dtype) if inputs != filters else None

    def call(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        y = self.conv1(ops.silu(self.norm1(x)))
        told = None if embedding is None else self.time_emb_proj(ops.silu(embedding))[:, None, None, :]
        if told is not None and self.scale_shift:
            scale, shift = ops.split(told, 2, axis=-1)
            y = self.norm2(y) * (1.0 + scale) + shift
        else:
            y = self.norm2(y if told is None else y + told)
        y = ops.silu(y)
        y = self.conv2(y if self.drop is None else self.drop(y))
        y = (x if self.conv_shortcut is None else self.conv_shortcut(x)) + y
        return y if self.divisor == 1.0 else y / self.divisor


class Attention(Network):
    """Self-attention over all places beside a shortcut."""

    def __init__(self, channels: int, blocks: Blocks, path: str, groups: int | None, divisor: float = 1.0):
        super().__init__(path.replace("/", "_"), dtype=blocks.dtype)
        self.head, self.divisor = blocks.head or channels, divisor
        if channels % self.head:
            raise InputError(f"attention_head_dim is {self.head}, which does not divide {channels} channels.")
        with within(path):
            self.group_norm = blocks.norm(channels, "group_norm", groups) if groups else None
            self.to_q, self.to_k, self.to_v = (
                dense(channels, channels, name, blocks.dtype) for name in ("to_q", "to_k", "to_v")
            )
            with within("to_out"):
                self.to_out = dense(channels, channels, "0", blocks.dtype)

    def call(self, x: Tensor) -> Tensor:
        shape = ops.shape(x)
        places, channels = math.prod(shape[1:-1]), shape[-1]
        y = ops.reshape(x if self.group_norm is None else self.group_norm(x), (shape[0], places, channels))
        q, k, v = (
            ops.reshape(layer(y), (shape[0], places, channels // self.head, self.head))
            for layer in (self.to_q, self.to_k, self.to_v)
        )  # [B, T, heads, C / heads]
        y = x + ops.reshape(self.to_out(attend(q, k, v)), shape)
        return y if self.divisor == 1.0 else y / self.divisor


class Middle(Network):
    """Two residual blocks and attention, if any, between them."""

    def __init__(self, channels: int, blocks: Blocks, attention: bool, path: str):
        super().__init__(path.replace("/", "_"), dtype=blocks.dtype)
        with within(path):
            self.first, self.last = (
                Residual(channels, channels, blocks, f"resnets/{i}", blocks.divisor) for i in range(2)
            )
            groups, divisor = blocks.attention_groups, blocks.divisor
            self.attention = Attention(channels, blocks, "attentions/0", groups, divisor) if attention else None

    def call(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        x = self.first(x, embedding)
        return self.last(x if self.attention is None else self.attention(x), embedding)


class Halve(Network):
    """A 3 x 3 convolution to half the sides, of zeros around (`padding` 1) or below and to the right alone (0)."""

    def __init__(self, channels: int, padding: int, path: str, dtype: Dtype, use_bias: bool = True):
        super().__init__(path.replace("/", "_"), dtype=dtype)
        if padding not in (0, 1):
            raise InputError(f"downsample_padding is {padding!r}; expected 0 or 1.")
        self.padding = padding
        outer, _, name = path.rpartition("/")
        settings: Config = {"strides": 2, "padding": "valid", "use_bias": use_bias}
        with within(outer):
            self.conv = conv(channels, channels, 3, name, dtype, **settings)

    def call(self, x: Tensor) -> Tensor:
        sides = (self.padding, 1)
        return self.conv(ops.pad(x, ((0, 0), sides, sides, (0, 0))))


class Enlarge(Network):
    """Every pixel four times, then a 3 x 3 convolution."""

    def __init__(self, channels: int, path: str, dtype: Dtype, use_bias: bool = True):
        super().__init__(path.replace("/", "_"), dtype=dtype)
        outer, _, name = path.rpartition("/")
        with within(outer):
            self.conv = conv(channels, channels, 3, name, dtype, use_bias=use_bias, resample="enlarge")

    def call(self, x: Tensor) -> Tensor:
        return self.conv(x)
