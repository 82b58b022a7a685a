"""U-Net for denoising (Ho et al. 2020, appendix B, with the residual blocks of Nichol and Dhariwal 2021).

Of videos it is the U-Net of their frames with attention over time (Ho et al. 2022, "Video diffusion models").
"""

import math

from keras import layers, ops

from kerasgen import backend
from kerasgen.errors import InputError
from kerasgen.networks.build import Dtype, Network, Tensor, conv, dense, group_norm
from kerasgen.networks.dit import positions
from kerasgen.networks.geometry import check_attention, depth_to_space, space_to_depth
from kerasgen.networks.layers.attention import SelfAttention
from kerasgen.networks.layers.conditioning import Conditioning
from kerasgen.typing import Any, Sequence

HEAD = 64  # channels of an attention head (Dhariwal and Nichol 2021, table 2)


class ResidualBlock(Network):
    """Two convolutions beside a shortcut; the embedding scales and shifts what the second one reads."""

    def __init__(self, inputs: int, filters: int, embedding: int, dropout: float, name: str, dtype: Dtype):
        super().__init__(name, dtype=dtype)
        self.norm_a = group_norm(inputs, "norm_a", dtype)
        self.conv_a = conv(inputs, filters, 3, "conv_a", dtype)
        self.scale_shift = dense(embedding, 2 * filters, "scale_shift", dtype)
        self.norm_b = group_norm(filters, "norm_b", dtype, center=False, scale=False)
        self.drop = layers.Dropout(dropout, name="drop", dtype=dtype) if dropout else None
        self.conv_b = conv(filters, filters, 3, "conv_b", dtype, kernel_initializer="zeros")
        self.shortcut = conv(inputs, filters, 1, "shortcut", dtype) if inputs != filters else None

    def call(self, x: Tensor, embedding: Tensor) -> Tensor:
        y = self.conv_a(backend.silu(self.norm_a(x)))
        scale, shift = ops.split(self.scale_shift(ops.silu(embedding)), 2, axis=-1)
        y = backend.silu(self.norm_b(y, scale, shift))
        y = y if self.drop is None else self.drop(y)
        return (x if self.shortcut is None else self.shortcut(x)) + self.conv_b(y)


class AttentionBlock(Network):
    """Self-attention beside a shortcut."""

    def __init__(self, channels: int, name: str, dtype: Dtype):
        super().__init__(name, dtype=dtype)
        self.norm = group_norm(channels, "norm", dtype)
        heads = math.gcd(max(channels // HEAD, 1), channels)
        self.attention = SelfAttention(channels, heads, zero=True, name="attention", dtype=dtype)

    def call(self, x: Tensor) -> Tensor:
        return x + self.mixed(x)

    def mixed(self, x: Tensor) -> Tensor:
        """What is added to x."""
        return self.attention(self.norm(x))


class UNet(Network):
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
        inputs: int,
        outputs: int,
        num_classes: int | None = None,
        width: int = 64,
        multipliers: Sequence[int] = (1, 2, 2),
        blocks: int = 2,
        attention: Sequence[int] = (),
        patch: int = 1,
        dropout: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__("network", **kwargs)
        dtype = self.dtype_policy
        self.outputs, self.patch, self.num_levels = outputs, patch, len(multipliers)
        check_attention(attention, range(len(multipliers)))
        embedding = 4 * width
        self.conditioning = Conditioning(embedding, num_classes, name="conditioning", dtype=dtype)
        channels = width * multipliers[0]
        self.stem = conv(inputs * patch**2, channels, 3, "stem", dtype)
        self.down, self.up = [], []  # (residual block, attention or None, resize or None), in order
        skips = [channels]

        def block(inputs, filters, level, name):
            residual = ResidualBlock(inputs, filters, embedding, dropout, name, dtype)
            return residual, self.mixing(filters, level in attention, f"{name}_attention")

        for level, multiplier in enumerate(multipliers):
            for index in range(blocks):
                self.down.append((*block(channels, width * multiplier, level, f"down_{level}_{index}"), None))
                channels = width * multiplier
                skips.append(channels)
            if level + 1 < self.num_levels:
                self.down.append((None, None, conv(channels, channels, 3, f"down_{level}", dtype, strides=2)))
                skips.append(channels)
        self.middle_a = ResidualBlock(channels, channels, embedding, dropout, "middle_a", dtype)
        self.middle_attention = self.mixing(channels, True, "middle_attention")
        self.middle_b = ResidualBlock(channels, channels, embedding, dropout, "middle_b", dtype)
        for level, multiplier in reversed(list(enumerate(multipliers))):
            for index in range(blocks + 1):
                parts = block(channels + skips.pop(), width * multiplier, level, f"up_{level}_{index}")
                channels = width * multiplier
                resize = None
                if level and index == blocks:
                    resize = conv(channels, channels, 3, f"up_{level}", dtype, resample="enlarge")
                self.up.append((*parts, resize))
        self.norm = group_norm(channels, "norm", dtype)
        self.out = conv(channels, outputs * patch**2, 3, "out", dtype, kernel_initializer="zeros")
        self.parts = [part for parts in (*self.down, *self.up) for part in parts if part is not None]

    def check_size(self, height: int, width: int) -> None:
        """Raises `InputError` for sides that the levels do not divide."""
        factor = self.patch * 2 ** (self.num_levels - 1)
        if height % factor or width % factor:
            raise InputError(
                f"this U-Net takes sides that are multiples of {factor} (patch {self.patch}, {self.num_levels} "
                f"levels), not {height} x {width}."
            )

    def mixing(self, channels: int, attention: bool, name: str) -> Network | None:
        """What mixes places after a residual block."""
        return AttentionBlock(channels, name, self.dtype_policy) if attention else None

    def call(self, x: Tensor, time: Tensor, one_hot: Tensor | None = None, training: bool = False) -> Tensor:
        return self.denoised(x, self.conditioning(time, one_hot))

    def denoised(self, x: Tensor, embedding: Tensor, **video: int) -> Tensor:
        """Of images `[N, H, W, inputs]` and embeddings `[N, E]`; `frames`, if given, are those of one video."""
        x = self.stem(space_to_depth(x, self.patch) if self.patch > 1 else x)
        skips = [x]
        for residual, attention, resize in self.down:
            x = resize(x) if residual is None else residual(x, embedding)
            x = x if attention is None else attention(x, **video)
            skips.append(x)
        x = self.middle_attention(self.middle_a(x, embedding), **video)
        x = self.middle_b(x, embedding)
        for residual, attention, resize in self.up:
            x = residual(ops.concatenate([x, skips.pop()], axis=-1), embedding)
            x = x if attention is None else attention(x, **video)
            x = x if resize is None else resize(x)
        x = self.out(backend.silu(self.norm(x)))
        return depth_to_space(x, self.patch) if self.patch > 1 else x


class VideoAttention(Network):
    """Attention over the places of each frame, if asked for, then over the frames at each place."""

    def __init__(self, channels: int, over_space: bool, name: str, dtype: Dtype):
        super().__init__(name, dtype=dtype)
        self.space = AttentionBlock(channels, "space", dtype) if over_space else None
        self.time = AttentionBlock(channels, "time", dtype)

    def call(self, x: Tensor, frames: int) -> Tensor:
        x = x if self.space is None else self.space(x)
        n, h, w, c = ops.shape(x)
        y = ops.swapaxes(ops.reshape(x, (n // frames, frames, h * w, c)), 1, 2)  # [B, h w, T, C]
        y = ops.reshape(y, (n // frames * h * w, frames, 1, c))
        y = y + ops.cast(positions(frames, 1, c)[:, None], y.dtype)
        y = ops.reshape(self.time.mixed(y), (n // frames, h * w, frames, c))
        return x + ops.reshape(ops.swapaxes(y, 1, 2), (n, h, w, c))


class VideoUNet(UNet):
    """`(x, time, one_hot)` to a video like x: `[B, T, H, W, inputs]` to `[B, T, H, W, outputs]`, for any T.

    The frames go through a `UNet`, and after each residual block each place looks at itself in all frames.

    Args:
        inputs, outputs, num_classes, multipliers, blocks, attention, patch, dropout: as of `UNet`.
        width: a multiple of 4, for the positions of frames.
    """

    def __init__(self, inputs: int, outputs: int, num_classes: int | None = None, width: int = 32, **kwargs: Any):
        if width % 4:
            raise InputError(f"width is {width}; the positions of a VideoUNet need a multiple of 4.")
        super().__init__(inputs, outputs, num_classes, width, **kwargs)

    def check_size(self, frames: int, height: int, width: int) -> None:
        """As of `UNet`, for any number of frames."""
        super().check_size(height, width)

    def mixing(self, channels: int, attention: bool, name: str) -> Network:
        return VideoAttention(channels, attention, name, self.dtype_policy)

    def call(self, x: Tensor, time: Tensor, one_hot: Tensor | None = None, training: bool = False) -> Tensor:
        b, t, h, w, c = ops.shape(x)
        embedding = ops.repeat(self.conditioning(time, one_hot), t, axis=0)
        return ops.reshape(
            self.denoised(ops.reshape(x, (b * t, h, w, c)), embedding, frames=t), (b, t, h, w, self.outputs)
        )
