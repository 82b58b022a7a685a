"""Networks from images to images, and a discriminator of patches.

A generator is called as `generator(images)`, in [-1, 1], and gives images of the same sides; a discriminator as
`discriminator(images)`, and gives logits `[B, h, w]`, one for each of the patches that it sees, which overlap.
"""

import math

from keras import layers, ops

from kerasgen import backend
from kerasgen.errors import InputError
from kerasgen.inputs import check_choice
from kerasgen.networks.build import SLOPE, Dtype, Network, Shape, Tensor, conv, group_norm
from kerasgen.networks.geometry import channels_of, sides_of
from kerasgen.typing import Any, Config

NORMALIZATIONS = (None, "instance", "spectral")


def instance_norm(channels: int, name: str, dtype: Dtype) -> layers.Layer:
    """Normalization of each channel of each image over all places (Ulyanov et al. 2016)."""
    return group_norm(channels, name, dtype, channels, epsilon=1e-5)


class ConvBlock(Network):
    """A convolution, instance normalization where asked for, and a (leaky) rectifier.

    Args:
        sides: to which its input is enlarged before, if any.
        reflect: whether the borders are filled with reflections rather than zeros, at stride 1 and without `sides`.
    """

    def __init__(
        self,
        inputs: int,
        filters: int,
        kernel: int,
        name: str,
        dtype: Dtype,
        strides: int = 1,
        sides: Shape | None = None,
        norm: bool = True,
        slope: float = 0.0,
        reflect: bool = False,
    ):
        super().__init__(name, dtype=dtype)
        self.slope, self.border = slope, kernel // 2 if reflect else 0
        padding = "valid" if reflect else "same"
        resample: Config = {} if sides is None else {"resample": "enlarge", "sides": sides}
        self.conv = conv(inputs, filters, kernel, "conv", dtype, strides=strides, padding=padding, **resample)
        self.norm = instance_norm(filters, "norm", dtype) if norm else None

    def call(self, x: Tensor) -> Tensor:
        if self.border:
            sides = [[0, 0], [self.border] * 2, [self.border] * 2, [0, 0]]
            x = backend.some_rows(lambda x: ops.pad(x, sides, mode="reflect"), x)
        x = self.conv(x)
        x = x if self.norm is None else self.norm(x)
        return ops.leaky_relu(x, self.slope) if self.slope else ops.relu(x)


class UNetGenerator(Network):
    """Down to sides below 8 and up again, with what was on the way down beside it (Isola et al. 2017, "pix2pix").

    Blocks enlarge by repetition and convolve; instance normalization instead of that of batches, which the paper has
    with batches of one image. Dropout is for training alone here: `translate` is a function of the image.

    Args:
        input_shape: `(height, width, channels)` of what it reads, sides of at least 8.
        outputs: channels of what it gives.
        width: channels of the finest level; they double from level to level, up to eight times.
        dropout: rate, in the three coarsest blocks of the way up.
    """

    def __init__(self, input_shape: Shape, outputs: int, width: int = 32, dropout: float = 0.5, **kwargs: Any):
        super().__init__("generator", **kwargs)
        dtype = self.dtype_policy
        sides = sides_of(*input_shape[:2])
        levels = len(sides) - 1
        if levels == 0:
            raise InputError(f"a U-Net generator takes sides of at least 8, not {input_shape[0]} x {input_shape[1]}.")
        channels = [channels_of(width, level) for level in range(levels)]
        self.down, self.up = [], []  # in order
        for level, (inputs, filters) in enumerate(zip([input_shape[-1], *channels], channels, strict=False)):
            block = ConvBlock(inputs, filters, 4, f"down_{level}", dtype, 2, norm=level > 0, slope=SLOPE)
            self.down.append(block)
        inputs = channels[-1]
        for level in reversed(range(levels)):
            filters = channels[max(level - 1, 0)]
            block = ConvBlock(inputs, filters, 3, f"up_{level}", dtype, sides=sides[level])
            rate = dropout if levels - level <= 3 and level else 0.0
            self.up.append((block, layers.Dropout(rate, name=f"drop_{level}", dtype=dtype) if rate else None))
            inputs = 2 * filters
        self.out = conv(channels[0], outputs, 3, "out", dtype)
        self.parts = [part for parts in self.up for part in parts if part is not None]

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        skips = []
        for block in self.down:
            x = block(x)
            skips.append(x)
        x = skips.pop()
        for block, dropout in self.up:
            x = block(x)
            x = x if dropout is None else dropout(x)
            x = ops.concatenate([x, skips.pop()], axis=-1) if skips else x
        return ops.tanh(self.out(x))


class ResidualGenerator(Network):
    """Two halvings, residual blocks, two enlargements (Johnson et al. 2016; Zhu et al. 2017, "CycleGAN", section 7.1).

    Args:
        input_shape: `(height, width, channels)` of what it reads, sides of at least 8.
        outputs: channels of what it gives.
        width: channels of the finest level; four times as many in the residual blocks.
        blocks: their number.
    """

    def __init__(self, input_shape: Shape, outputs: int, width: int = 32, blocks: int = 6, **kwargs: Any):
        super().__init__("generator", **kwargs)
        dtype = self.dtype_policy
        height, across, _ = input_shape
        if min(height, across) < 8:
            raise InputError(f"a residual generator takes sides of at least 8, not {height} x {across}.")
        fine = (height, across)
        middle = tuple(math.ceil(side / 2) for side in fine)
        self.stem = ConvBlock(input_shape[-1], width, 7, "stem", dtype, reflect=True)
        self.down = [
            ConvBlock(width, 2 * width, 3, "down_0", dtype, strides=2),
            ConvBlock(2 * width, 4 * width, 3, "down_1", dtype, strides=2),
        ]
        self.middle = []  # (block, convolution, normalization)
        for index in range(blocks):
            block = ConvBlock(4 * width, 4 * width, 3, f"block_{index}", dtype, reflect=True)
            second = conv(4 * width, 4 * width, 3, f"conv_{index}", dtype)
            self.middle.append((block, second, instance_norm(4 * width, f"norm_{index}", dtype)))
        self.up = [
            ConvBlock(4 * width, 2 * width, 3, "up_1", dtype, sides=middle),
            ConvBlock(2 * width, width, 3, "up_0", dtype, sides=fine),
        ]
        self.out = conv(width, outputs, 7, "out", dtype)
        self.parts = [part for parts in self.middle for part in parts]

    def call(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.down:
            x = block(x)
        for block, second, norm in self.middle:
            x = x + norm(second(block(x)))
        for block in self.up:
            x = block(x)
        return ops.tanh(self.out(x))


class PatchDiscriminator(Network):
    """Logits `[B, h, w]`, of one patch each (Isola et al. 2017, section 3.2.2).

    With 1, 2 and 3 levels a patch is a square of 16, 34 and 70 pixels.

    Args:
        input_shape: `(height, width, channels)`.
        width: channels of the first level; they double from level to level, up to eight times.
        levels: convolutions of stride 2; two of stride 1 follow.
        normalization: "instance", "spectral" or `None`.
    """

    def __init__(
        self,
        input_shape: Shape,
        width: int = 32,
        levels: int = 2,
        normalization: str | None = "instance",
        **kwargs: Any,
    ):
        super().__init__("discriminator", **kwargs)
        dtype = self.dtype_policy
        check_choice("normalization", normalization, NORMALIZATIONS)
        smallest = math.ceil(min(input_shape[:2]) / 2**levels)
        if smallest < 2:
            raise InputError(
                f"{levels} levels of a discriminator leave a single patch of images of {input_shape[0]} x "
                f"{input_shape[1]}; give it fewer levels."
            )
        spectral = normalization == "spectral"
        self.blocks = []  # (convolution, normalization or None)
        inputs = input_shape[-1]
        for level in range(levels + 1):
            filters = channels_of(width, level)
            layer = conv(inputs, filters, 4, f"conv_{level}", dtype, spectral, strides=2 if level < levels else 1)
            norm = instance_norm(filters, f"norm_{level}", dtype) if normalization == "instance" and level else None
            self.blocks.append((layer, norm))
            inputs = filters
        self.out = conv(inputs, 1, 4, "out", dtype, spectral)
        self.parts = [part for parts in self.blocks for part in parts if part is not None]

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        for layer, norm in self.blocks:
            x = layer(x)
            x = ops.leaky_relu(x if norm is None else norm(x), SLOPE)
        return self.out(x)[..., 0]
