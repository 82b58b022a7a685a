"""Transformer over tokens (Vaswani et al. 2017), normed before each part, with rotary positions and tied weights."""

import keras
import numpy as np
from keras import layers, ops

from kerasgen import backend
from kerasgen.errors import InputError
from kerasgen.inputs import check_integer
from kerasgen.networks.build import Dtype, Network, Tensor, dense
from kerasgen.typing import Any, Array

BASE = 10_000.0  # of the wavelengths of positions
Cache = tuple[tuple[Tensor, Tensor], ...]  # keys and values of each block, `[B, L, heads, D]`


def angles(length: int, size: int) -> Array:
    """Cosines and sines of the positions (Su et al. 2021, "RoFormer", section 3.2.2): float32 `[2, L, 1, size / 2]`."""
    frequencies = BASE ** (-np.arange(size // 2) / (size // 2))
    found = np.arange(length)[:, None, None] * frequencies  # [L, 1, size / 2]
    return np.stack([np.cos(found), np.sin(found)]).astype(np.float32)


def rotated(x: Tensor, where: Tensor) -> Tensor:
    """x `[B, T, heads, D]`, each pair of values (i, i + D / 2) turned by the angle of its position, of `angles`."""
    a, b = ops.split(x, 2, axis=-1)
    cosine, sine = ops.cast(where[0], x.dtype), ops.cast(where[1], x.dtype)
    return ops.concatenate([a * cosine - b * sine, b * cosine + a * sine], axis=-1)


def rms_norm(channels: int, name: str, dtype: Dtype) -> layers.Layer:
    """Root mean square normalization (Zhang and Sennrich 2019)."""
    layer = layers.RMSNormalization(name=name, dtype=dtype)
    layer.build((None, None, channels))
    return layer


class RotarySelfAttention(Network):
    """`[B, T, C]` to the same shape: each token is mixed with all others, or with those before it."""

    def __init__(self, channels: int, heads: int, causal: bool, name: str, dtype: Dtype):
        super().__init__(name, dtype=dtype)
        if channels % (2 * heads):
            raise InputError(f"a width of {channels} does not divide into {heads} heads of an even size.")
        self.heads, self.size, self.causal = heads, channels // heads, causal
        self.qkv = dense(channels, 3 * channels, "qkv", dtype, use_bias=False)
        self.out = dense(channels, channels, "out", dtype, use_bias=False)

    def parts(self, x: Tensor, where: Tensor) -> list[Tensor]:
        """Queries, keys and values `[B, T, heads, D]`; `where` are the `angles` of the tokens."""
        batch, length, _ = ops.shape(x)
        q, k, v = (
            ops.reshape(part, (batch, length, self.heads, self.size)) for part in ops.split(self.qkv(x), 3, axis=-1)
        )
        return [rotated(q, where), rotated(k, where), v]

    def joined(self, attended: Tensor) -> Tensor:
        batch, length, *_ = ops.shape(attended)
        return self.out(ops.reshape(attended, (batch, length, self.heads * self.size)))

    def call(self, x: Tensor, where: Tensor) -> Tensor:
        q, k, v = self.parts(x, where)
        return self.joined(backend.attention(q, k, v, self.causal))

    def step(self, x: Tensor, index: Tensor, where: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, ...]:
        """What `call` gives for the token `index`, x `[B, 1, C]`, of those before it, and their keys and values."""
        q, k, v = self.parts(x, where)
        keys, values = (ops.slice_update(kept, (0, index, 0, 0), new) for kept, new in ((keys, k), (values, v)))
        known = ops.arange(keys.shape[1], dtype="int32") <= index
        attended = ops.dot_product_attention(q, keys, values, mask=ops.reshape(known, (1, 1, 1, -1)))
        return self.joined(attended), keys, values


class TransformerBlock(Network):
    """Attention, then a dense network of each token by itself, each beside a shortcut."""

    def __init__(self, channels: int, heads: int, causal: bool, dropout: float, name: str, dtype: Dtype):
        super().__init__(name, dtype=dtype)
        self.norm_a = rms_norm(channels, "norm_a", dtype)
        self.attention = RotarySelfAttention(channels, heads, causal, "attention", dtype)
        self.norm_b = rms_norm(channels, "norm_b", dtype)
        self.hidden = dense(channels, 4 * channels, "hidden", dtype, use_bias=False, activation=backend.gelu)
        self.out = dense(4 * channels, channels, "out", dtype, use_bias=False)
        self.drop = layers.Dropout(dropout, name="drop", dtype=dtype) if dropout else None

    def dropped(self, x: Tensor) -> Tensor:
        return x if self.drop is None else self.drop(x)

    def call(self, x: Tensor, where: Tensor) -> Tensor:
        x = x + self.dropped(self.attention(self.norm_a(x), where))
        return x + self.dropped(self.out(self.hidden(self.norm_b(x))))

    def step(self, x: Tensor, index: Tensor, where: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, ...]:
        """As `RotarySelfAttention.step`."""
        y, keys, values = self.attention.step(self.norm_a(x), index, where, keys, values)
        x = x + y
        return x + self.out(self.hidden(self.norm_b(x))), keys, values


@keras.saving.register_keras_serializable("kerasgen")
class Transformer(Network):
    """Tokens int32 `[B, L]`, with a condition `[B, num_conditions]` if it has any, to logits float32 `[B, L, outputs]`.

    A condition, such as a one-hot class, is brought to the width and added to every token; zeros are none. The last
    layer's kernel is the embedding's (Press and Wolf 2017), of its first `outputs` rows. Where a token sees all others,
    a learned vector of its place is added, too: rotary positions tell tokens that are all masked nothing of where they
    are, while causal attention counts those before.

    Args:
        inputs: values that a token which it reads can have.
        outputs: values that are predicted, the first of these.
        length: L at most.
        num_conditions: values of a condition, or `None`.
        causal: whether a token is predicted from those up to it, else from all.
        width: channels of a token.
        depth: blocks.
        heads: of the attention.
        dropout: rate, of what each part of a block adds.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        length: int,
        num_conditions: int | None = None,
        causal: bool = True,
        width: int = 128,
        depth: int = 4,
        heads: int = 4,
        dropout: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__("network", **kwargs)
        dtype = self.dtype_policy
        for name, value in (("width", width), ("depth", depth), ("heads", heads)):
            check_integer(name, value, 1)
        self.outputs, self.width, self.heads = outputs, width, heads
        self.form = (inputs, outputs, length, num_conditions, causal)
        self.embedding = self.add_weight(
            shape=(inputs, width), initializer=keras.initializers.RandomNormal(stddev=0.02), name="embedding"
        )
        self.places = None
        if not causal:
            self.places = self.add_weight(
                shape=(length, width), initializer=keras.initializers.RandomNormal(stddev=0.02), name="places"
            )
        self.condition = None
        if num_conditions is not None:
            self.condition = dense(num_conditions, width, "condition", dtype, use_bias=False)
        self.blocks = [
            TransformerBlock(width, heads, causal, dropout, f"block_{index}", dtype) for index in range(depth)
        ]
        self.norm = rms_norm(width, "norm", dtype)
        self.angles = angles(length, width // heads)
        self.scale = (2.0 * depth) ** -0.5
        for block in self.blocks:  # as in GPT-2: what enters the shortcut sums up to the same variance at any depth
            for layer in (block.attention.out, block.out):
                layer.kernel.assign(layer.kernel * self.scale)

    def embedded(self, tokens: Tensor, condition: Tensor | None) -> Tensor:
        """`[B, T, width]`."""
        x = ops.take(ops.cast(ops.convert_to_tensor(self.embedding), self.compute_dtype), tokens, axis=0)
        if condition is None:
            return x
        return x + ops.expand_dims(self.condition(condition), axis=1)

    def logits(self, x: Tensor) -> Tensor:
        table = ops.cast(ops.convert_to_tensor(self.embedding)[: self.outputs], x.dtype)
        return ops.cast(ops.matmul(x, ops.transpose(table)), "float32")

    def call(
        self, tokens: Tensor, condition: Tensor | None = None, training: bool = False, features: bool = False
    ) -> Tensor:
        """Logits; or with `features` what they are made of, `[B, L, width]`."""
        where = self.angles[:, : tokens.shape[1]]
        x = self.embedded(tokens, condition)
        if self.places is not None:
            x = x + ops.cast(ops.convert_to_tensor(self.places)[: tokens.shape[1]], x.dtype)
        for block in self.blocks:
            x = block(x, where)
        x = self.norm(x)
        return x if features else self.logits(x)

    def empty_cache(self, batch: int, length: int) -> Cache:
        """Room for the keys and values of `length` tokens."""
        shape = (batch, length, self.heads, self.width // self.heads)
        return tuple((ops.zeros(shape, self.compute_dtype), ops.zeros(shape, self.compute_dtype)) for _ in self.blocks)

    def step(self, tokens: Tensor, index: Tensor, cache: Cache, condition: Tensor | None) -> tuple[Tensor, Cache]:
        """Logits `[B, outputs]` of what follows the tokens `[B]` at position `index`, and the cache with these."""
        where = ops.take(ops.convert_to_tensor(self.angles), ops.reshape(index, (1,)), axis=1)
        x, kept = self.embedded(tokens[:, None], condition), []
        for block, (keys, values) in zip(self.blocks, cache, strict=True):
            x, keys, values = block.step(x, index, where, keys, values)
            kept.append((keys, values))
        return self.logits(self.norm(x))[:, 0], tuple(kept)
