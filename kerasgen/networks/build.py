"""What networks are built of: layers that have their weights once they are made.

A network's `call` takes `training` and does not pass it on: Keras hands it to all layers inside of the one called.
"""

import math

import keras
from keras import layers, ops

from kerasgen.networks.layers.convolution import LAST as LAST, Conv2D
from kerasgen.networks.layers.group_normalization import GroupNormalization
from kerasgen.networks.layers.spectral_normalization import SpectralNormalization
from kerasgen.typing import Any, Tensor as Tensor

SLOPE = 0.2  # of leaky rectifiers
Shape = tuple[int, ...]  # of one example or one feature map, without the batch
Dtype = Any  # a dtype policy, its name, or `None` for Keras' own


class Network(layers.Layer):
    """A layer that has all its weights once it is made, and is named by its role unless it is given a name."""

    built = property(lambda self: True, lambda self, value: None)

    def __init__(self, role: str, **kwargs: Any):
        super().__init__(**{"name": role, **kwargs})


def dense(inputs: int, units: int, name: str, dtype: Dtype, spectral: bool = False, **settings: Any) -> layers.Layer:
    """`keras.layers.Dense` with these settings for `inputs` features, with spectral normalization if asked for."""
    return _built(layers.Dense, (None, inputs), name, dtype, spectral, {"units": units, **settings})


def conv(
    inputs: int, filters: int, kernel: int, name: str, dtype: Dtype, spectral: bool = False, **settings: Any
) -> layers.Layer:
    """`Conv2D` for `inputs` channels that keeps the sides unless told otherwise; else as `dense`."""
    settings = {"filters": filters, "kernel_size": kernel, **settings}
    return _built(Conv2D, (None, None, None, inputs), name, dtype, spectral, settings)


def _built(make, input_shape, name, dtype, spectral, settings):
    bias = settings.pop("use_bias", True)
    layer = make(use_bias=bias and not spectral, name="linear" if spectral else name, dtype=dtype, **settings)
    layer.build(input_shape)
    return SpectralNormalization(layer, bias, name=name, dtype=dtype) if spectral else layer


def group_norm(channels: int, name: str, dtype: Dtype, groups: int | None = None, **settings: Any) -> layers.Layer:
    """Group normalization of images, by up to 8 groups unless told; with one it is that of layers (Wu and He 2018)."""
    layer = GroupNormalization(groups or math.gcd(8, channels), name=name, dtype=dtype, **settings)
    layer.build((None, None, None, channels))
    return layer


def float_input(shape: Shape, name: str) -> Tensor:
    """`keras.Input` of float32, whatever `keras.config.floatx` is."""
    return keras.Input(shape, name=name, dtype="float32")


def plain_norm(x: Tensor) -> Tensor:
    """Each token or vector brought to mean 0 and variance 1, without weights."""
    y = ops.cast(x, "float32")
    y = y - ops.mean(y, axis=-1, keepdims=True)
    return ops.cast(y * ops.rsqrt(ops.mean(ops.square(y), axis=-1, keepdims=True) + 1e-6), x.dtype)
