"""Differentiable augmentation of what a discriminator reads (Zhao et al. 2020, "DiffAugment").

Images are `[B, H, W, C]` in [-1, 1]. Each function draws its numbers by `uniform(shape)`, in [0, 1).
"""

from keras import ops

from kerasgen.typing import Callable, Tensor


def _draw(uniform, x):
    return uniform((ops.shape(x)[0], 1, 1, 1))


def color(x: Tensor, uniform: Callable) -> Tensor:
    """Adds -0.5 to 0.5 to brightness, and scales saturation by 0 to 2 and contrast by 0.5 to 1.5."""
    x = x + (_draw(uniform, x) - 0.5)
    if x.shape[-1] > 1:
        gray = ops.mean(x, axis=-1, keepdims=True)
        x = gray + (x - gray) * (2.0 * _draw(uniform, x))
    mean = ops.mean(x, axis=(1, 2, 3), keepdims=True)
    return mean + (x - mean) * (_draw(uniform, x) + 0.5)


def translation(x: Tensor, uniform: Callable) -> Tensor:
    """Moves images by up to an eighth of each side, and fills up with 0."""
    for axis in (1, 2):
        side = x.shape[axis]
        most = round(side / 8)
        offset = ops.floor(_draw(uniform, x)[:, 0, 0] * (2 * most + 1)) - most  # [B, 1]
        places = ops.arange(side, dtype="float32")[None] + offset  # [B, side]
        inside = ops.cast(ops.logical_and(places >= 0.0, places < side), x.dtype)
        places = ops.cast(ops.clip(places, 0, side - 1), "int32")
        wide = (slice(None), slice(None), None, None) if axis == 1 else (slice(None), None, slice(None), None)
        x = ops.take_along_axis(x, places[wide], axis=axis) * inside[wide]
    return x


def cutout(x: Tensor, uniform: Callable) -> Tensor:
    """Sets a rectangle of half of each side to 0; up to half of it may lie outside of the image."""
    outside = 1.0
    for axis in (1, 2):
        side = x.shape[axis]
        half = side // 2
        start = ops.floor(_draw(uniform, x) * (side + 1 - half % 2)) - half // 2
        shape = (1, side, 1, 1) if axis == 1 else (1, 1, side, 1)
        places = ops.reshape(ops.arange(side, dtype="float32"), shape)
        covered = ops.cast(ops.logical_and(places >= start, places < start + half), x.dtype)
        outside = covered if axis == 1 else 1.0 - outside * covered
    return x * outside


AUGMENTATIONS = {"color": color, "translation": translation, "cutout": cutout}
