"""Grids of images as PNG files."""

import math
import os
from pathlib import Path

import numpy as np
from PIL import Image

from kerasgen.errors import InputError

MARGIN = 2  # pixels between images


def to_uint8(images):
    """Images in [0, 1] as uint8."""
    return np.rint(np.clip(images, 0.0, 1.0) * 255.0).astype(np.uint8)


def grid(images, columns=None, scale=None):
    """One picture, uint8 `[height, width, C]`, of the images `[N, H, W, C]` in rows of `columns`.

    As square as possible unless `columns` is given; each pixel becomes a square of `scale` pixels, by default as many
    as bring an image to at least 56 pixels. Channels are 1 or 3; raises `InputError` for others.
    """
    num, height, width, channels = images.shape
    if channels not in (1, 3):
        raise InputError(f"a picture has 1 or 3 channels; these images have {channels}. Write them as .npy instead.")
    columns = columns or math.ceil(math.sqrt(num))
    scale = scale or math.ceil(56 / min(height, width))
    rows = math.ceil(num / columns)
    tiles = to_uint8(images).repeat(scale, axis=1).repeat(scale, axis=2)
    height, width = tiles.shape[1] + MARGIN, tiles.shape[2] + MARGIN
    picture = np.full((rows * height + MARGIN, columns * width + MARGIN, channels), 255, np.uint8)
    for index, tile in enumerate(tiles):
        top, left = MARGIN + index // columns * height, MARGIN + index % columns * width
        picture[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return picture


def save_png(picture, path):
    """Writes uint8 `[H, W, C]` as a PNG file, whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(temporary, format="png", optimize=True)
    os.replace(temporary, path)


def save_grid(images, path, columns=None, scale=None):
    """Writes `grid(images, columns, scale)` as a PNG file."""
    save_png(grid(images, columns, scale), path)
