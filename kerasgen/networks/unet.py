"""U-Net for denoising (Ho et al. 2020, appendix B, with the residual blocks of Nichol and Dhariwal 2021)."""

import math

from keras import layers, ops

from kerasgen.errors import InputError
from kerasgen.networks.layers.attention import SelfAttention
from kerasgen.networks.layers.conditioning import Conditioning
from kerasgen.networks.layers.group_normalization import GroupNormalization


def conv(inputs, filters, kernel, name, dtype, strides=1, zero=False):
    """A convolution, built for `inputs` channels; `zero` starts it at zero."""
    initializer = "zeros" if zero else "glorot_uniform"
    layer = layers.Conv2D(filters, kernel, strides, "same", kernel_initializer=initializer, name=name, dtype=dtype)
    layer.build((None, None, None, inputs))
    return layer


def norm(channels, name, dtype, affine=True):
    """Group normalization with up to 8 groups."""
    layer = GroupNormalization(math.gcd(8, channels), center=affine, scale=affine, name=name, dtype=dtype)
    layer.build((None, None, None, channels))
    return layer


class ResidualBlock(layers.Layer):
    """Two convolutions beside a shortcut; the embedding scales and shifts what the second one reads."""

    def __init__(self, inputs, filters, embedding, dropout, name, dtype):
        super().__init__(name=name, dtype=dtype)
        self.norm_a = norm(inputs, "norm_a", dtype)
        self.conv_a = conv(inputs, filters, 3, "conv_a", dtype)
        self.scale_shift = layers.Dense(2 * filters, name="scale_shift", dtype=dtype)
        self.scale_shift.build((None, embedding))
        self.norm_b = norm(filters, "norm_b", dtype, affine=False)
        self.drop = layers.Dropout(dropout, name="drop", dtype=dtype) if dropout else None
        self.conv_b = conv(filters, filters, 3, "conv_b", dtype, zero=True)
        self.shortcut = conv(inputs, filters, 1, "shortcut", dtype) if inputs != filters else None
        self.built = True

    def call(self, x, embedding, training=False):
        y = self.conv_a(ops.silu(self.norm_a(x)))
        scale, shift = ops.split(self.scale_shift(ops.silu(embedding))[:, None, None, :], 2, axis=-1)
        y = ops.silu(self.norm_b(y) * (1.0 + scale) + shift)
        if self.drop is not None:
            y = self.drop(y, training=training)
        return (x if self.shortcut is None else self.shortcut(x)) + self.conv_b(y)


HEAD = 64  # channels of an attention head (Dhariwal and Nichol 2021, table 2)


class AttentionBlock(layers.Layer):
    """Self-attention beside a shortcut."""

    def __init__(self, channels, name, dtype):
        super().__init__(name=name, dtype=dtype)
        self.norm = norm(channels, "norm", dtype)
        self.attention = SelfAttention(
            channels, math.gcd(max(channels // HEAD, 1), channels), zero=True, name="attention", dtype=dtype
        )
        self.built = True

    def call(self, x):
        return x + self.attention(self.norm(x))


def space_to_depth(x, size):
    """`[B, H, W, C]` to `[B, H / size, W / size, C size^2]`."""
    b, h, w, c = ops.shape(x)
    x = ops.reshape(x, (b, h // size, size, w // size, size, c))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (b, h // size, w // size, size * size * c))


def depth_to_space(x, size):
    """The inverse of `space_to_depth`."""
    b, h, w, c = ops.shape(x)
    x = ops.reshape(x, (b, h, w, size, size, c // size**2))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (b, h * size, w * size, c // size**2))


class UNet(layers.Layer):
    """`(x, time, one_hot)` to an image like x: `[B, H, W, inputs]` to `[B, H, W, outputs]`, for any H and W that fit.

    Args:
        inputs, outputs: channels.
        num_classes: or `None`.
        width: channels of the first level.
        multipliers: channels of each level over `width`; each level after the first has half the sides.
        blocks: residual blocks a level, on the way down; one more on the way up.
        attention: levels, from 0, with self-attention after each residual block; the middle always has it.
        patch: side of the squares that become channels at the input (space to depth), and images again at the output.
        dropout: rate in residual blocks.
    """

    def __init__(
        self,
        inputs,
        outputs,
        num_classes=None,
        width=64,
        multipliers=(1, 2, 2),
        blocks=2,
        attention=(),
        patch=1,
        dropout=0.0,
        name="network",
        dtype=None,
    ):
        super().__init__(name=name, dtype=dtype)
        dtype = self.dtype_policy
        self.patch, self.num_levels = patch, len(multipliers)
        embedding = 4 * width
        self.conditioning = Conditioning(embedding, num_classes, name="conditioning", dtype=dtype)
        channels = width * multipliers[0]
        self.stem = conv(inputs * patch**2, channels, 3, "stem", dtype)
        self.down, self.up = [], []  # (residual block, attention or None, resize or None), in order
        skips = [channels]

        def block(inputs, filters, level, name):
            residual = ResidualBlock(inputs, filters, embedding, dropout, name, dtype)
            return residual, AttentionBlock(filters, f"{name}_attention", dtype) if level in attention else None

        for level, multiplier in enumerate(multipliers):
            for index in range(blocks):
                self.down.append((*block(channels, width * multiplier, level, f"down_{level}_{index}"), None))
                channels = width * multiplier
                skips.append(channels)
            if level + 1 < self.num_levels:
                self.down.append((None, None, conv(channels, channels, 3, f"down_{level}", dtype, strides=2)))
                skips.append(channels)
        self.middle_a = ResidualBlock(channels, channels, embedding, dropout, "middle_a", dtype)
        self.middle_attention = AttentionBlock(channels, "middle_attention", dtype)
        self.middle_b = ResidualBlock(channels, channels, embedding, dropout, "middle_b", dtype)
        for level, multiplier in reversed(list(enumerate(multipliers))):
            for index in range(blocks + 1):
                parts = block(channels + skips.pop(), width * multiplier, level, f"up_{level}_{index}")
                channels = width * multiplier
                resize = conv(channels, channels, 3, f"up_{level}", dtype) if level and index == blocks else None
                self.up.append((*parts, resize))
        self.norm = norm(channels, "norm", dtype)
        self.out = conv(channels, outputs * patch**2, 3, "out", dtype, zero=True)
        self.parts = [part for parts in (*self.down, *self.up) for part in parts if part is not None]
        self.built = True

    def check_size(self, height, width):
        """Raises `InputError` for sides that the levels do not divide."""
        factor = self.patch * 2 ** (self.num_levels - 1)
        if height % factor or width % factor:
            raise InputError(
                f"this U-Net takes sides that are multiples of {factor} (patch {self.patch}, {self.num_levels} "
                f"levels), not {height} x {width}."
            )

    def call(self, x, time, one_hot=None, training=False):
        embedding = self.conditioning(time, one_hot)
        x = self.stem(space_to_depth(x, self.patch) if self.patch > 1 else x)
        skips = [x]
        for residual, attention, resize in self.down:
            if residual is None:
                x = resize(x)
            else:
                x = residual(x, embedding, training=training)
                x = x if attention is None else attention(x)
            skips.append(x)
        x = self.middle_a(x, embedding, training=training)
        x = self.middle_b(self.middle_attention(x), embedding, training=training)
        for residual, attention, resize in self.up:
            x = residual(ops.concatenate([x, skips.pop()], axis=-1), embedding, training=training)
            x = x if attention is None else attention(x)
            if resize is not None:
                x = resize(ops.repeat(ops.repeat(x, 2, axis=1), 2, axis=2))
        x = self.out(ops.silu(self.norm(x)))
        return depth_to_space(x, self.patch) if self.patch > 1 else x
