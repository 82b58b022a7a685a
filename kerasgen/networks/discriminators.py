"""Discriminators of GANs, each from one definition for images of any size, and a dense one for vectors.

A discriminator is called as `discriminator(x)`, or with classes `discriminator([x, one_hot])`, and gives logits `[B]`.
Levels and channels are those of the generators.
"""

import math

from keras import ops

from kerasgen.errors import InputError
from kerasgen.inputs import check_choice
from kerasgen.networks.build import SLOPE, Dtype, Network, Shape, Tensor, conv, dense, group_norm
from kerasgen.networks.geometry import channels_of, check_attention, flatten, sides_of
from kerasgen.networks.layers.attention import Attention
from kerasgen.networks.layers.convolution import halve
from kerasgen.networks.layers.minibatch_stddev import MinibatchStandardDeviation
from kerasgen.typing import Any, Sequence

NORMALIZATIONS = (None, "spectral", "layer")  # the last as WGAN-GP's critic has it, in place of that of batches


class StridedBlock(Network):
    """A convolution, layer normalization where asked for, and a leaky rectifier (Radford et al. 2016)."""

    def __init__(
        self, inputs: int, filters: int, halves: bool, first: bool, normalization: Any, name: str, dtype: Dtype
    ):
        super().__init__(name, dtype=dtype)
        kernel, strides = (4, 2) if halves else (3, 1)
        self.conv = conv(inputs, filters, kernel, "conv", dtype, normalization == "spectral", strides=strides)
        self.norm = group_norm(filters, "norm", dtype, 1) if normalization == "layer" and not first else None

    def call(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return ops.leaky_relu(y if self.norm is None else self.norm(y), SLOPE)


class DownBlock(Network):
    """A residual block of a discriminator (Miyato et al. 2018, figure 10); the first one reads images."""

    def __init__(
        self, inputs: int, filters: int, halves: bool, first: bool, normalization: Any, name: str, dtype: Dtype
    ):
        super().__init__(name, dtype=dtype)
        spectral = normalization == "spectral"
        self.halves, self.first = halves, first
        self.norm_a = group_norm(inputs, "norm_a", dtype, 1) if normalization == "layer" and not first else None
        self.norm_b = group_norm(filters, "norm_b", dtype, 1) if normalization == "layer" else None
        self.conv_a = conv(inputs, filters, 3, "conv_a", dtype, spectral)
        resample = "halve" if halves else None
        self.conv_b = conv(filters, filters, 3, "conv_b", dtype, spectral, resample=resample)
        straight = inputs == filters and not halves
        self.shortcut = None if straight else conv(inputs, filters, 1, "shortcut", dtype, spectral)

    def call(self, x: Tensor) -> Tensor:
        y = x if self.norm_a is None else self.norm_a(x)
        y = self.conv_a(y if self.first else ops.relu(y))
        y = y if self.norm_b is None else self.norm_b(y)
        y = self.conv_b(ops.relu(y))
        x = halve(x) if self.halves else x
        return y + (x if self.shortcut is None else self.shortcut(x))


class Discriminator(Network):
    """What discriminators share: the layer from features `[B, F]` to logits, with the projection for classes.

    With classes the logit is w · h + e(class) · h (Miyato and Koyama 2018, "cGANs with projection discriminator",
    equation 3).
    """

    def build_logits(self, features: int, num_classes: int | None, spectral: bool) -> None:
        """Makes the last layers."""
        dtype = self.dtype_policy
        self.out = dense(features, 1, "out", dtype, spectral)
        self.classes = None
        if num_classes is not None:
            self.classes = dense(num_classes, features, "classes", dtype, spectral, use_bias=False)

    def features(self, x: Tensor) -> Tensor:
        """h, `[B, F]`."""
        raise NotImplementedError

    def call(self, inputs: Tensor | list[Tensor], training: bool = False) -> Tensor:
        x, one_hot = (inputs, None) if self.classes is None else inputs
        h = self.features(x)
        logits = self.out(h)[:, 0]
        return logits if self.classes is None else logits + ops.sum(self.classes(one_hot) * h, axis=-1)


class ConvDiscriminator(Discriminator):
    """Convolutions of stride 2 with leaky rectifiers (Radford et al. 2016), or with `residual` blocks.

    The features are the coarsest level, flattened, or with `residual` blocks its sum over places (Miyato et al. 2018,
    table 3): these see all of an image by then, few convolutions only parts of it.

    Args:
        input_shape: `(height, width, channels)`.
        num_classes: or `None`.
        width: channels of the finest level.
        residual: whether blocks have two convolutions beside a shortcut.
        attention: levels, 1 the first after a halving, with self-attention.
        normalization: "spectral", "layer" or `None`.
        minibatch_stddev: whether the last block also reads the spread of the batch.
    """

    def __init__(
        self,
        input_shape: Shape,
        num_classes: int | None = None,
        width: int = 32,
        residual: bool = False,
        attention: Sequence[int] = (),
        normalization: str | None = None,
        minibatch_stddev: bool = False,
        **kwargs: Any,
    ):
        super().__init__("discriminator", **kwargs)
        dtype = self.dtype_policy
        check_choice("normalization", normalization, NORMALIZATIONS)
        sides = sides_of(*input_shape[:2])
        levels = len(sides)
        check_attention(attention, range(1, levels))
        self.residual = residual

        def block(filters, level, halves, name):
            make = DownBlock if residual else StridedBlock
            return make(channels, filters, halves, level == 1, normalization, name, dtype)

        self.blocks = []  # layers in order
        channels = input_shape[-1]
        for level in range(1, levels):
            filters = channels_of(width, level - 1)
            self.blocks.append(block(filters, level, True, f"down_{level}"))
            if level in attention:
                self.blocks.append(Attention(filters, name=f"attention_{level}", dtype=dtype))
            channels = filters
        if minibatch_stddev:
            self.blocks.append(MinibatchStandardDeviation(name="minibatch_stddev", dtype=dtype))
            channels += 1
        filters = channels_of(width, levels - 1)
        self.last = block(filters, levels, False, "last")
        features = filters if residual else filters * math.prod(sides[-1])
        self.build_logits(features, num_classes, normalization == "spectral")

    def features(self, x: Tensor) -> Tensor:
        for block in (*self.blocks, self.last):
            x = block(x)
        # The other form ends in its own rectifier.
        return ops.sum(ops.relu(x), axis=(1, 2)) if self.residual else flatten(x)


class DenseDiscriminator(Discriminator):
    """Dense layers with leaky rectifiers; reads images or vectors."""

    def __init__(
        self,
        input_shape: Shape,
        num_classes: int | None = None,
        width: int = 128,
        depth: int = 2,
        normalization: str | None = None,
        **kwargs: Any,
    ):
        super().__init__("discriminator", **kwargs)
        dtype = self.dtype_policy
        if normalization not in (None, "spectral"):
            raise InputError(f"normalization is {normalization!r}; dense layers take None or 'spectral'.")
        spectral = normalization == "spectral"
        sizes = [math.prod(input_shape), *[width] * depth]
        self.hidden = [dense(size, width, f"hidden_{i}", dtype, spectral) for i, size in enumerate(sizes[:-1])]
        self.build_logits(sizes[-1], num_classes, spectral)

    def features(self, x: Tensor) -> Tensor:
        x = flatten(x)
        for layer in self.hidden:
            x = ops.leaky_relu(layer(x), SLOPE)
        return x
