"""Generators of GANs, each from one definition for images of any size, and a dense one for vectors.

A generator is called as `generator(z)`, or with classes `generator([z, one_hot])`, and gives images in [-1, 1] (or
vectors). Levels halve the sides, rounding up, until one is below 8; channels double from `width` at the finest level up
to eight times it.
"""

import math

from keras import ops

from kerasgen.networks.build import Network, Shape, Tensor, conv, dense
from kerasgen.networks.geometry import channels_of, check_attention, sides_of
from kerasgen.networks.layers.attention import Attention
from kerasgen.networks.layers.conditional_batch_normalization import ConditionalBatchNormalization
from kerasgen.networks.layers.convolution import enlarge
from kerasgen.typing import Any, Sequence


class UpBlock(Network):
    """Twice the sides: normalization, rectifier, enlargement, convolution; residual with a second round and a shortcut.

    The residual form is that of Miyato et al. 2018, figure 9.
    """

    def __init__(
        self, inputs: int, filters: int, sides: Shape, residual: bool, num_classes: Any, spectral: bool, **kwargs: Any
    ):
        super().__init__("up", **kwargs)
        dtype = self.dtype_policy
        self.sides, self.residual = sides, residual
        self.norm_a = ConditionalBatchNormalization(inputs, num_classes, name="norm_a", dtype=dtype)
        self.conv_a = conv(inputs, filters, 3, "conv_a", dtype, spectral, resample="enlarge", sides=sides)
        if residual:
            self.norm_b = ConditionalBatchNormalization(filters, num_classes, name="norm_b", dtype=dtype)
            self.conv_b = conv(filters, filters, 3, "conv_b", dtype, spectral)
            self.shortcut = conv(inputs, filters, 1, "shortcut", dtype, spectral)

    def call(self, x: Tensor, one_hot: Tensor | None = None) -> Tensor:
        y = self.conv_a(ops.relu(self.norm_a(x, one_hot)))
        if not self.residual:
            return y
        return self.conv_b(ops.relu(self.norm_b(y, one_hot))) + enlarge(self.shortcut(x), self.sides)


class ConvGenerator(Network):
    """A dense layer to the coarsest level, then a block a level (Radford et al. 2016, "DCGAN"; Miyato et al. 2018).

    Blocks enlarge by repetition and convolve, rather than by transposed convolutions, which leave checkerboards.

    Args:
        inputs: latents.
        output_shape: `(height, width, channels)`.
        num_classes: or `None`; classes scale and shift in every normalization.
        width: channels of the finest level.
        residual: whether blocks have two convolutions beside a shortcut.
        attention: levels, 0 the finest, with self-attention.
        spectral: whether convolutions have spectral normalization too, as in SAGAN.
    """

    def __init__(
        self,
        inputs: int,
        output_shape: Shape,
        num_classes: int | None = None,
        width: int = 32,
        residual: bool = False,
        attention: Sequence[int] = (),
        spectral: bool = False,
        **kwargs: Any,
    ):
        super().__init__("generator", **kwargs)
        dtype = self.dtype_policy
        self.num_classes = num_classes
        *finer, self.coarsest = sides_of(*output_shape[:2])
        check_attention(attention, range(len(finer)))
        self.channels = channels = channels_of(width, len(finer))
        self.stem = dense(inputs, math.prod(self.coarsest) * channels, "stem", dtype, spectral)
        self.blocks = []
        for level in range(len(finer) - 1, -1, -1):
            filters = channels_of(width, level)
            arguments = (channels, filters, finer[level], residual, num_classes, spectral)
            self.blocks.append(UpBlock(*arguments, name=f"up_{level}", dtype=dtype))
            if level in attention:
                self.blocks.append(Attention(filters, name=f"attention_{level}", dtype=dtype))
            channels = filters
        self.norm = ConditionalBatchNormalization(channels, name="norm", dtype=dtype)
        self.out = conv(channels, output_shape[-1], 3, "out", dtype, spectral)

    def call(self, inputs: Tensor | list[Tensor], training: bool = False) -> Tensor:
        z, one_hot = (inputs, None) if self.num_classes is None else inputs
        x = ops.reshape(self.stem(z), (-1, *self.coarsest, self.channels))
        for block in self.blocks:
            x = block(x, one_hot) if isinstance(block, UpBlock) else block(x)
        return ops.tanh(self.out(ops.relu(self.norm(x))))


class DenseGenerator(Network):
    """Rectified dense layers; classes are read beside z. For images tanh at the end, for vectors nothing."""

    def __init__(
        self,
        inputs: int,
        output_shape: Shape,
        num_classes: int | None = None,
        width: int = 128,
        depth: int = 2,
        spectral: bool = False,
        **kwargs: Any,
    ):
        super().__init__("generator", **kwargs)
        dtype = self.dtype_policy
        self.num_classes = num_classes
        self.output_sizes = tuple(output_shape)
        sizes = [inputs + (num_classes or 0), *[width] * depth]
        self.hidden = [dense(size, width, f"hidden_{i}", dtype, spectral) for i, size in enumerate(sizes[:-1])]
        self.out = dense(sizes[-1], math.prod(output_shape), "out", dtype, spectral)

    def call(self, inputs: Tensor | list[Tensor], training: bool = False) -> Tensor:
        x = inputs if self.num_classes is None else ops.concatenate(inputs, axis=-1)
        for layer in self.hidden:
            x = ops.relu(layer(x))
        x = ops.reshape(self.out(x), (-1, *self.output_sizes))
        return ops.tanh(x) if len(self.output_sizes) > 1 else x
