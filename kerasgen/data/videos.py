"""Files of videos: animations that Pillow reads, such as GIF, and films by PyAV, such as MP4."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence, UnidentifiedImageError

from kerasgen.data.batches import check_index
from kerasgen.data.images import MODES, ImageSize, check_form, prepare, suffixes
from kerasgen.errors import DatasetError
from kerasgen.pictures import import_av
from kerasgen.typing import Array


def load_video(
    path: str | os.PathLike, image_size: ImageSize = None, *, channels: int | None = None, limit: int | None = None
) -> Array:
    """The frames of a file, uint8 `[T, H, W, C]`, each cropped and resized as images are by `load`.

    `limit` takes the first so many; `channels` are 3 unless told.

    Raises:
        DatasetError: there is no such file, or it cannot be read.
        InputError: it is a film, and PyAV is not installed.
    """
    path = Path(path).expanduser()
    size = check_form(image_size, channels)
    limit = None if limit is None else check_index("limit", limit, 1)
    if not path.is_file():
        raise DatasetError(f"{path} is no file; expected an animation such as GIF, or a film such as MP4.")
    read = _animation if path.suffix.lower() in suffixes() else _film
    frames = []
    for frame in read(path):
        frames.append(prepare(frame.convert(MODES[channels or 3]), size, channels))
        if len(frames) == limit:
            break
    if not frames:
        raise DatasetError(f"{path} has no frames; replace it.")
    return np.stack(frames)


def _animation(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as file:
            for frame in ImageSequence.Iterator(file):
                flat = Image.new("RGBA", frame.size, "white")
                yield Image.alpha_composite(flat, frame.convert("RGBA")).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise _unread(path, error) from error


def _film(path: Path) -> Iterator[Image.Image]:
    av = import_av()
    try:
        with av.open(path) as film:
            for frame in film.decode(video=0):
                yield Image.fromarray(frame.to_ndarray(format="rgb24"))
    except (av.FFmpegError, OSError, IndexError) as error:
        raise _unread(path, error) from error


def _unread(path, error):
    return DatasetError(f"{path} cannot be read ({error}); expected an animation such as GIF, or a film such as MP4.")
