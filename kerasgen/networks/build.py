"""What networks are built of: layers that have their weights when they are made, and the geometry of levels.

Networks of the families take `training` and do not pass it on: Keras hands it to every layer inside of the one called.
"""

import math
from typing import Any

from keras import layers, ops

from kerasgen.networks.layers.group_normalization import GroupNormalization
from kerasgen.networks.layers.spectral_normalization import SpectralNormalization
from kerasgen.typing import Tensor

SLOPE = 0.2  # of leaky rectifiers

Shape = tuple[int, ...]  # of one example or one feature map, without the batch


class Network(layers.Layer):
    """A layer that is named by its role, unless it is given a name."""

    def __init__(self, role: str, **kwargs: Any):
        super().__init__(**{"name": role, **kwargs})


def dense(inputs: int, units: int, name: str, dtype: Any, spectral: bool = False, **settings: Any) -> layers.Layer:
    """`keras.layers.Dense` with these settings for `inputs` features, with spectral normalization if asked for."""
    return _built(layers.Dense, (None, inputs), name, dtype, spectral, {"units": units, **settings})


def conv(
    inputs: int, filters: int, kernel: int, name: str, dtype: Any, spectral: bool = False, **settings: Any
) -> layers.Layer:
    """`keras.layers.Conv2D` for `inputs` channels that keeps the sides unless told otherwise; else as `dense`."""
    settings = {"filters": filters, "kernel_size": kernel, "padding": "same", **settings}
    return _built(layers.Conv2D, (None, None, None, inputs), name, dtype, spectral, settings)


def _built(make, input_shape, name, dtype, spectral, settings):
    bias = settings.pop("use_bias", True)
    layer = make(use_bias=bias and not spectral, name="linear" if spectral else name, dtype=dtype, **settings)
    layer.build(input_shape)
    return SpectralNormalization(layer, bias, name=name, dtype=dtype) if spectral else layer


def group_norm(channels: int, groups: int, name: str, dtype: Any, **settings: Any) -> layers.Layer:
    """Group normalization of images; with one group it is layer normalization (Wu and He 2018, figure 2)."""
    layer = GroupNormalization(groups, name=name, dtype=dtype, **settings)
    layer.build((None, None, None, channels))
    return layer


def plain_norm(x: Tensor) -> Tensor:
    """Each token or vector brought to mean 0 and variance 1, without weights."""
    y = ops.cast(x, "float32")
    y = y - ops.mean(y, axis=-1, keepdims=True)
    return ops.cast(y * ops.rsqrt(ops.mean(ops.square(y), axis=-1, keepdims=True) + 1e-6), x.dtype)


def sides_of(height: int, width: int) -> list[tuple[int, int]]:
    """The sides at each level, finest first, halved until one is below 8: (28, 28), (14, 14), (7, 7) for 28 x 28."""
    sides = [(height, width)]
    while min(sides[-1]) >= 8:
        sides.append(tuple(math.ceil(side / 2) for side in sides[-1]))
    return sides


def channels_of(width: int, level: int, most: int = 8) -> int:
    """Channels at a level, 0 the finest: `width`, doubled from level to level, up to `most` times as many."""
    return width * min(2**level, most)


def enlarge(x: Tensor, sides: tuple[int, int] | None = None) -> Tensor:
    """`[B, H, W, C]` with every pixel four times, `[B, 2H, 2W, C]`, cropped to `sides` if given."""
    x = ops.repeat(ops.repeat(x, 2, axis=1), 2, axis=2)
    return x if sides is None else x[:, : sides[0], : sides[1]]


def halve(x: Tensor) -> Tensor:
    """Means over squares of 2 x 2, at odd sides over what there is of them: `[B, ceil(H / 2), ceil(W / 2), C]`."""
    return ops.average_pool(x, 2, 2, "same")


def with_label_planes(x: Tensor, one_hot: Tensor) -> Tensor:
    """`[B, H, W, C]` with a constant plane for each class besides: `[B, H, W, C + num_classes]`."""
    planes = ops.broadcast_to(one_hot[:, None, None, :], (*ops.shape(x)[:3], one_hot.shape[-1]))
    return ops.concatenate([x, planes], axis=-1)


def space_to_depth(x: Tensor, size: int) -> Tensor:
    """`[B, H, W, C]` to `[B, H / size, W / size, C size^2]`."""
    b, h, w, c = ops.shape(x)
    x = ops.reshape(x, (b, h // size, size, w // size, size, c))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (b, h // size, w // size, size * size * c))


def depth_to_space(x: Tensor, size: int) -> Tensor:
    """The inverse of `space_to_depth`."""
    b, h, w, c = ops.shape(x)
    x = ops.reshape(x, (b, h, w, size, size, c // size**2))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (b, h * size, w * size, c // size**2))
