"""Generators and discriminators, each from one definition for images of any size, and dense ones for vectors.

A generator is called as `generator(z)`, or with classes `generator([z, one_hot])`, and gives images in [-1, 1] (or
vectors); a discriminator as `discriminator(x)` or `discriminator([x, one_hot])`, and gives logits `[B]`. Levels halve
the sides, rounding up, until one is below 8; channels double from `width` at the finest level up to eight times it.
"""

import math

from keras import layers, ops

from kerasgen.errors import InputError
from kerasgen.inputs import check_choice
from kerasgen.networks.conv import sides_of
from kerasgen.networks.layers.attention import SelfAttention
from kerasgen.networks.layers.conditional_batch_normalization import ConditionalBatchNormalization
from kerasgen.networks.layers.group_normalization import GroupNormalization
from kerasgen.networks.layers.minibatch_stddev import MinibatchStandardDeviation
from kerasgen.networks.layers.spectral_normalization import SpectralNormalization

NORMALIZATIONS = (None, "spectral", "layer")
SLOPE = 0.2  # of leaky rectifiers


def channels_of(width, level):
    """Channels at a level, 0 the finest."""
    return width * min(2**level, 8)


def dense(inputs, units, name, dtype, spectral=False, bias=True):
    layer = layers.Dense(units, use_bias=bias and not spectral, name="linear" if spectral else name, dtype=dtype)
    layer.build((None, inputs))
    return SpectralNormalization(layer, bias, name=name, dtype=dtype) if spectral else layer


def conv(inputs, filters, kernel, name, dtype, spectral=False, strides=1):
    layer = layers.Conv2D(
        filters, kernel, strides, "same", use_bias=not spectral, name="linear" if spectral else name, dtype=dtype
    )
    layer.build((None, None, None, inputs))
    return SpectralNormalization(layer, name=name, dtype=dtype) if spectral else layer


def apply(layer, x, training):
    """`layer(x)`, with `training` for those that heed it."""
    return layer(x, training=training) if isinstance(layer, SpectralNormalization) else layer(x)


def enlarged(x, sides):
    """`[B, H, W, C]` with every pixel four times, cropped to `sides`."""
    return ops.repeat(ops.repeat(x, 2, axis=1), 2, axis=2)[:, : sides[0], : sides[1]]


def halved(x):
    """Means over squares of 2 x 2; at odd sides over what there is of them."""
    return ops.average_pool(x, 2, 2, "same")


class Attention(layers.Layer):
    """Self-attention beside a shortcut, with a gate that starts at 0 (Zhang et al. 2019, "SAGAN", equation 3)."""

    def __init__(self, channels, name, dtype):
        super().__init__(name=name, dtype=dtype)
        self.attention = SelfAttention(channels, heads=1, name="attention", dtype=dtype)
        self.gate = self.add_weight(shape=(), initializer="zeros", name="gate")
        self.built = True

    def call(self, x):
        return x + ops.cast(self.gate, x.dtype) * self.attention(x)


class Network(layers.Layer):
    """What these networks share: inputs `x`, or `[x, one_hot]` with classes."""

    def __init__(self, num_classes, name, dtype):
        super().__init__(name=name, dtype=dtype)
        self.num_classes = num_classes

    def parts(self, inputs):
        return (inputs, None) if self.num_classes is None else inputs


# Generators


class UpBlock(layers.Layer):
    """Twice the sides: normalization, rectifier, enlargement, convolution; residual with a second round and a shortcut.

    The residual form is that of Miyato et al. 2018, figure 9.
    """

    def __init__(self, inputs, filters, sides, residual, num_classes, spectral, name, dtype):
        super().__init__(name=name, dtype=dtype)
        self.sides, self.residual = sides, residual
        self.norm_a = ConditionalBatchNormalization(inputs, num_classes, name="norm_a", dtype=dtype)
        self.conv_a = conv(inputs, filters, 3, "conv_a", dtype, spectral)
        if residual:
            self.norm_b = ConditionalBatchNormalization(filters, num_classes, name="norm_b", dtype=dtype)
            self.conv_b = conv(filters, filters, 3, "conv_b", dtype, spectral)
            self.shortcut = conv(inputs, filters, 1, "shortcut", dtype, spectral)
        self.built = True

    def call(self, x, one_hot=None, training=False):
        y = ops.relu(self.norm_a(x, one_hot, training=training))
        y = apply(self.conv_a, enlarged(y, self.sides), training)
        if not self.residual:
            return y
        y = apply(self.conv_b, ops.relu(self.norm_b(y, one_hot, training=training)), training)
        return y + enlarged(apply(self.shortcut, x, training), self.sides)


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
        inputs,
        output_shape,
        num_classes=None,
        width=32,
        residual=False,
        attention=(),
        spectral=False,
        name="generator",
        dtype=None,
    ):
        super().__init__(num_classes, name, dtype)
        dtype = self.dtype_policy
        *finer, self.coarsest = sides_of(*output_shape[:2])
        channels = channels_of(width, len(finer))
        self.stem = dense(inputs, math.prod(self.coarsest) * channels, "stem", dtype, spectral)
        self.blocks = []
        for level in range(len(finer) - 1, -1, -1):
            filters = channels_of(width, level)
            arguments = (channels, filters, finer[level], residual, num_classes, spectral)
            self.blocks.append(UpBlock(*arguments, f"up_{level}", dtype))
            if level in attention:
                self.blocks.append(Attention(filters, f"attention_{level}", dtype))
            channels = filters
        self.channels = channels_of(width, len(finer))
        self.norm = ConditionalBatchNormalization(channels, name="norm", dtype=dtype)
        self.out = conv(channels, output_shape[-1], 3, "out", dtype, spectral)
        self.built = True

    def call(self, inputs, training=False):
        z, one_hot = self.parts(inputs)
        x = ops.reshape(apply(self.stem, z, training), (-1, *self.coarsest, self.channels))
        for block in self.blocks:
            x = block(x) if isinstance(block, Attention) else block(x, one_hot, training=training)
        x = ops.relu(self.norm(x, training=training))
        return ops.tanh(apply(self.out, x, training))


class DenseGenerator(Network):
    """Rectified dense layers; classes are read beside z. For images tanh at the end, for vectors nothing."""

    def __init__(
        self, inputs, output_shape, num_classes=None, width=128, depth=2, spectral=False, name="generator", dtype=None
    ):
        super().__init__(num_classes, name, dtype)
        dtype = self.dtype_policy
        self.output_sizes = tuple(output_shape)
        sizes = [inputs + (num_classes or 0), *[width] * depth]
        self.hidden = [dense(size, width, f"hidden_{i}", dtype, spectral) for i, size in enumerate(sizes[:-1])]
        self.out = dense(sizes[-1], math.prod(output_shape), "out", dtype, spectral)
        self.built = True

    def call(self, inputs, training=False):
        x = ops.concatenate(inputs, axis=-1) if self.num_classes is not None else inputs
        for layer in self.hidden:
            x = ops.relu(apply(layer, x, training))
        x = ops.reshape(apply(self.out, x, training), (-1, *self.output_sizes))
        return ops.tanh(x) if len(self.output_sizes) > 1 else x


# Discriminators


def layer_norm(channels, name, dtype):
    """Of each image over all places and channels: what WGAN-GP's critic has for batch normalization."""
    layer = GroupNormalization(1, name=name, dtype=dtype)
    layer.build((None, None, None, channels))
    return layer


class StridedBlock(layers.Layer):
    """A convolution, layer normalization where asked for, and a leaky rectifier (Radford et al. 2016)."""

    def __init__(self, inputs, filters, kernel, strides, first, normalization, name, dtype):
        super().__init__(name=name, dtype=dtype)
        self.conv = conv(inputs, filters, kernel, "conv", dtype, normalization == "spectral", strides)
        self.norm = layer_norm(filters, "norm", dtype) if normalization == "layer" and not first else None
        self.built = True

    def call(self, x, training=False):
        y = apply(self.conv, x, training)
        return ops.leaky_relu(y if self.norm is None else self.norm(y), SLOPE)


class DownBlock(layers.Layer):
    """A residual block of a discriminator (Miyato et al. 2018, figure 10); the first one reads images."""

    def __init__(self, inputs, filters, halve, first, normalization, name, dtype):
        super().__init__(name=name, dtype=dtype)
        spectral = normalization == "spectral"
        self.halve, self.first = halve, first
        self.norm_a = layer_norm(inputs, "norm_a", dtype) if normalization == "layer" and not first else None
        self.norm_b = layer_norm(filters, "norm_b", dtype) if normalization == "layer" else None
        self.conv_a = conv(inputs, filters, 3, "conv_a", dtype, spectral)
        self.conv_b = conv(filters, filters, 3, "conv_b", dtype, spectral)
        straight = inputs == filters and not halve
        self.shortcut = None if straight else conv(inputs, filters, 1, "shortcut", dtype, spectral)
        self.built = True

    def call(self, x, training=False):
        y = x if self.norm_a is None else self.norm_a(x)
        y = apply(self.conv_a, y if self.first else ops.relu(y), training)
        y = y if self.norm_b is None else self.norm_b(y)
        y = apply(self.conv_b, ops.relu(y), training)
        y = halved(y) if self.halve else y
        if self.shortcut is None:
            return x + y
        return y + apply(self.shortcut, halved(x) if self.halve else x, training)


class ConvDiscriminator(Network):
    """Convolutions of stride 2 with leaky rectifiers (Radford et al. 2016), or with `residual` blocks, to logits `[B]`.

    The features h are the coarsest level, flattened, or with `residual` blocks its sum over places (Miyato et al.
    2018, table 3): these see all of an image by then, few convolutions only parts of it. With classes the logit is
    w · h + e(class) · h (Miyato and Koyama 2018, "cGANs with projection discriminator", equation 3).

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
        input_shape,
        num_classes=None,
        width=32,
        residual=False,
        attention=(),
        normalization=None,
        minibatch_stddev=False,
        name="discriminator",
        dtype=None,
    ):
        super().__init__(num_classes, name, dtype)
        dtype = self.dtype_policy
        check_choice("normalization", normalization, NORMALIZATIONS)
        spectral = normalization == "spectral"
        sides = sides_of(*input_shape[:2])
        levels = len(sides)
        self.residual = residual
        self.blocks = []  # layers in order
        channels = input_shape[-1]
        for level in range(1, levels):
            filters = channels_of(width, level - 1)
            if residual:
                block = DownBlock(channels, filters, True, level == 1, normalization, f"down_{level}", dtype)
            else:
                block = StridedBlock(channels, filters, 4, 2, level == 1, normalization, f"down_{level}", dtype)
            self.blocks.append(block)
            if level in attention:
                self.blocks.append(Attention(filters, f"attention_{level}", dtype))
            channels = filters
        if minibatch_stddev:
            self.blocks.append(MinibatchStandardDeviation(name="minibatch_stddev", dtype=dtype))
            channels += 1
        filters = channels_of(width, levels - 1)
        if residual:
            self.last = DownBlock(channels, filters, False, levels == 1, normalization, "last", dtype)
        else:
            self.last = StridedBlock(channels, filters, 3, 1, levels == 1, normalization, "last", dtype)
        features = filters if residual else filters * math.prod(sides[-1])
        self.out = dense(features, 1, "out", dtype, spectral)
        self.classes = None
        if num_classes is not None:
            self.classes = dense(num_classes, features, "classes", dtype, spectral, bias=False)
        self.built = True

    def call(self, inputs, training=False):
        x, one_hot = self.parts(inputs)
        for block in self.blocks:
            plain = isinstance(block, (Attention, MinibatchStandardDeviation))
            x = block(x) if plain else block(x, training=training)
        x = self.last(x, training=training)
        # The other form ends in its own rectifier.
        x = ops.sum(ops.relu(x), axis=(1, 2)) if self.residual else ops.reshape(x, (ops.shape(x)[0], -1))
        return logits(self, x, one_hot, training)


class DenseDiscriminator(Network):
    """Dense layers with leaky rectifiers to logits `[B]`, with projection for classes; reads images or vectors."""

    def __init__(
        self, input_shape, num_classes=None, width=128, depth=2, normalization=None, name="discriminator", dtype=None
    ):
        super().__init__(num_classes, name, dtype)
        dtype = self.dtype_policy
        if normalization not in (None, "spectral"):
            raise InputError(f"normalization is {normalization!r}; dense layers take None or 'spectral'.")
        spectral = normalization == "spectral"
        sizes = [math.prod(input_shape), *[width] * depth]
        self.hidden = [dense(size, width, f"hidden_{i}", dtype, spectral) for i, size in enumerate(sizes[:-1])]
        self.out = dense(sizes[-1], 1, "out", dtype, spectral)
        self.classes = None
        if num_classes is not None:
            self.classes = dense(num_classes, sizes[-1], "classes", dtype, spectral, bias=False)
        self.built = True

    def call(self, inputs, training=False):
        x, one_hot = self.parts(inputs)
        x = ops.reshape(x, (ops.shape(x)[0], -1))
        for layer in self.hidden:
            x = ops.leaky_relu(apply(layer, x, training), SLOPE)
        return logits(self, x, one_hot, training)


def logits(network, features, one_hot, training):
    """`[B]` from features `[B, F]`: linear, plus the projection on the class."""
    logit = apply(network.out, features, training)[:, 0]
    if network.classes is None:
        return logit
    return logit + ops.sum(apply(network.classes, one_hot, training) * features, axis=-1)
