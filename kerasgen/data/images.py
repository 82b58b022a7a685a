"""One image: decoding, colours, centre crop and resize, by Pillow."""

import io

import numpy as np
from PIL import Image

MODES = {1: "L", 3: "RGB"}


def decode(encoded):
    """An opened Pillow image from encoded bytes or a path; palettes and transparency resolved on white."""
    image = Image.open(io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded)
    image.load()
    if image.mode in ("P", "PA", "LA", "RGBA") or "transparency" in image.info:
        grey = image.mode == "LA"
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
        return image.convert("L" if grey else "RGB")
    return image if image.mode in ("L", "RGB") else image.convert("L" if image.mode in ("1", "I;16") else "RGB")


def crop_box(width, height, target_width, target_height):
    """(left, top, right, bottom) of the largest centred box with the target's aspect ratio, within the image."""
    scale = min(width / target_width, height / target_height)
    crop_width = max(1, min(width, round(target_width * scale)))
    crop_height = max(1, min(height, round(target_height * scale)))
    left, top = (width - crop_width) // 2, (height - crop_height) // 2
    return left, top, left + crop_width, top + crop_height


def prepare(image, size, channels):
    """A Pillow image, cropped and resized (antialiased, bicubic) to `size` (height, width): uint8 `[H, W, C]`.

    Without `size` or `channels` these stay as they are; an image that has the size already is not touched.
    """
    if channels is not None and image.mode != MODES[channels]:
        image = image.convert(MODES[channels])
    if size is not None and (image.height, image.width) != size:
        height, width = size
        box = crop_box(image.width, image.height, width, height)
        image = image.resize((width, height), Image.Resampling.BICUBIC, box=box)
    array = np.asarray(image, np.uint8)
    return array[..., None] if array.ndim == 2 else array


def prepare_array(array, size, channels):
    """`prepare` for uint8 `[H, W, C]`."""
    if (size is None or array.shape[:2] == size) and (channels is None or array.shape[2] == channels):
        return array
    return prepare(Image.fromarray(array[..., 0] if array.shape[2] == 1 else array), size, channels)
