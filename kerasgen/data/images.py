"""One image: decoding, colours, centre crop and resize, by Pillow."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

MODES = {1: "L", 3: "RGB"}


def _decoded_mode(image: Image.Image) -> str:
    """ "L" for grey images of any depth, with or without transparency, else "RGB"."""
    return "L" if image.mode in ("1", "L", "LA") or image.mode.startswith("I") else "RGB"


def _open(encoded: bytes | Path) -> Image.Image:
    return Image.open(io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded)


def header(encoded: bytes | Path) -> tuple[int, int, int]:
    """(height, width, channels) that `decode` will give, read from the image's header alone."""
    with _open(encoded) as image:
        return image.height, image.width, len(_decoded_mode(image))


def decode(encoded: bytes | Path) -> Image.Image:
    """A Pillow image of mode L or RGB from encoded bytes or a path; transparency is resolved on white."""
    with _open(encoded) as image:
        image.load()
        mode = _decoded_mode(image)
        if image.mode.startswith("I"):  # 16 bits, which Pillow's own conversion would clip at 255
            return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        if image.mode in ("PA", "LA", "RGBA") or "transparency" in image.info:
            rgba = image.convert("RGBA")
            return Image.alpha_composite(Image.new("RGBA", image.size, "white"), rgba).convert(mode)
        return image.convert(mode)


def crop_box(width: int, height: int, target_width: int, target_height: int) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of the largest centred box with the target's aspect ratio, within the image."""
    scale = min(width / target_width, height / target_height)
    crop_width = max(1, min(width, round(target_width * scale)))
    crop_height = max(1, min(height, round(target_height * scale)))
    left, top = (width - crop_width) // 2, (height - crop_height) // 2
    return left, top, left + crop_width, top + crop_height


def prepare(image: Image.Image, size: tuple[int, int] | None, channels: int | None) -> np.ndarray:
    """A Pillow image, cropped and resized (antialiased, bicubic) to `size` (height, width): uint8 `[H, W, C]`.

    Without `size` or `channels` these stay as they are; an image that has the size already is not touched.
    """
    if channels is not None and image.mode != MODES[channels]:
        image = image.convert(MODES[channels])
    if size is not None and (image.height, image.width) != size:
        height, width = size
        box = crop_box(image.width, image.height, width, height)
        # Not resize(box=box), whose filter reaches pixels outside the box.
        image = image.crop(box).resize((width, height), Image.Resampling.BICUBIC)
    array = np.asarray(image, np.uint8)
    return array[..., None] if array.ndim == 2 else array


def prepare_array(array: np.ndarray, size: tuple[int, int] | None, channels: int | None) -> np.ndarray:
    """`prepare` for uint8 `[H, W, C]`."""
    if (size is None or array.shape[:2] == size) and (channels is None or array.shape[2] == channels):
        return array
    return prepare(Image.fromarray(array[..., 0] if array.shape[2] == 1 else array), size, channels)
