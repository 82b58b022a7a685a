"""What a translator is to learn from, made of the images that it is to give: uint8 `[N, H, W, C]` each."""

import numpy as np

from kerasgen.errors import DatasetError
from kerasgen.typing import Array

LUMA = (299, 587, 114)  # thousandths of red, green and blue (ITU-R BT.601)
SMALLER = 4  # by which "small" divides the sides
HOLE = 127  # the gray of what "masked" takes away


def gray(images: Array) -> Array:
    """Luma, `[N, H, W, 1]`."""
    if images.shape[-1] == 1:
        return images
    return ((images.astype(np.uint32) @ np.array(LUMA, np.uint32) + 500) // 1000).astype(np.uint8)[..., None]


def edges(images: Array) -> Array:
    """Dark lines on white where the luma changes, `[N, H, W, 1]`: 255 less the length of Sobel's gradient, halved."""
    x = np.pad(gray(images)[..., 0].astype(np.float32), ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = x[:, :-2] + 2.0 * x[:, 1:-1] + x[:, 2:]  # [N, H, W + 2]
    columns = x[:, :, :-2] + 2.0 * x[:, :, 1:-1] + x[:, :, 2:]
    length = np.hypot(rows[:, :, 2:] - rows[:, :, :-2], columns[:, 2:] - columns[:, :-2])
    return (255.0 - np.minimum(0.5 * length, 255.0)).round().astype(np.uint8)[..., None]


def small(images: Array) -> Array:
    """Means over squares of 4 x 4, each as 4 x 4 pixels: `[N, H, W, C]`. Raises `DatasetError` for other sides."""
    num, height, width, channels = images.shape
    if height % SMALLER or width % SMALLER:
        raise DatasetError(f"images are of {height} x {width}; small ones need sides that {SMALLER} divides.")
    squares = images.reshape(num, height // SMALLER, SMALLER, width // SMALLER, SMALLER, channels)
    means = squares.mean(axis=(2, 4), dtype=np.float32).round().astype(np.uint8)
    return means.repeat(SMALLER, axis=1).repeat(SMALLER, axis=2)


def masked(images: Array) -> Array:
    """Without the middle, half as high and as wide as the image: `[N, H, W, C]`."""
    images, (height, width) = images.copy(), images.shape[1:3]
    images[:, height // 4 : height - height // 4, width // 4 : width - width // 4] = HOLE
    return images


PAIRS = {"gray": gray, "edges": edges, "small": small, "masked": masked}
