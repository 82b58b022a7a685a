"""Grids of images, and their files."""

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from kerasgen.errors import InputError
from kerasgen.files import replacing

MARGIN = 2  # pixels between images


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Images in [0, 1] as uint8."""
    return np.rint(np.clip(images, 0.0, 1.0) * 255.0).astype(np.uint8)


def grid(images: np.ndarray, columns: int | None = None, scale: int | None = None) -> np.ndarray:
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


def to_image(pixels: np.ndarray) -> Image.Image:
    """A Pillow image of uint8 `[H, W, C]`."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def save_frames(frames: Iterable[np.ndarray], path: Path) -> None:
    """Writes uint8 frames `[H, W, C]`: one to PNG, any to GIF, ten a second, exact up to 256 colours a frame."""
    first, *rest = map(to_image, frames)
    animation = {"save_all": True, "append_images": rest, "duration": 100, "loop": 0}
    with replacing(path) as file:
        first.save(file, path.suffix[1:], **(animation if path.suffix == ".gif" else {"optimize": True}))
