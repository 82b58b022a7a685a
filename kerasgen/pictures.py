"""Grids of images, and their files."""

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from kerasgen.errors import InputError
from kerasgen.files import replacing
from kerasgen.typing import Any

MARGIN = 2  # pixels between images
RATE = 10  # frames a second


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


def import_av() -> Any:
    """PyAV, by which films are read and written. Raises `InputError`: it is not installed."""
    try:
        import av
    except ImportError as error:
        raise InputError('films such as MP4 need PyAV: pip install "kerasgen-zoo[video]"; or take GIF.') from error
    return av


def save_frames(frames: Iterable[np.ndarray], path: Path) -> None:
    """Writes uint8 frames `[H, W, C]`, ten a second: one to PNG; any to GIF, exact up to 256 colours each, or MP4."""
    if path.suffix == ".mp4":
        return _save_film(frames, path)
    first, *rest = map(to_image, frames)
    animation = {"save_all": True, "append_images": rest, "duration": 1000 // RATE, "loop": 0}
    with replacing(path) as file:
        first.save(file, path.suffix[1:], **(animation if path.suffix == ".gif" else {"optimize": True}))


def _save_film(frames, path):
    """H.264 of even sides, for which the last row and column may be there twice."""
    av, frames = import_av(), [*frames]
    height, width, channels = np.shape(frames[0])
    form = ((0, 0), (0, height % 2), (0, width % 2), (0, 0))
    colours = np.pad(np.stack(frames), form, "edge").repeat(3 // channels, axis=3)
    with replacing(path) as file, av.open(file, "w", format="mp4") as film:
        stream = film.add_stream("libx264", rate=RATE, options={"crf": "12"})
        (stream.height, stream.width), stream.pix_fmt = colours.shape[1:3], "yuv420p"
        for frame in colours:
            film.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        film.mux(stream.encode())
