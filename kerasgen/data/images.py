"""One image: decoding, orientation, colours, centre crop and resize, by Pillow."""

import io
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageFile

from kerasgen import inputs
from kerasgen.errors import InputError
from kerasgen.typing import Any

ImageSize = int | tuple[int, int] | None
MODES = {1: "L", 3: "RGB"}
# What Pillow registers and does not read: films; and drawings, for which it would run another program.
UNREAD = {"MPEG", "EPS"}
SIXTEEN_BITS = {"PNG", "PPM"}  # formats of which Pillow gives 16-bit pixels in a mode that could hold 32
ORIENTATIONS = {  # EXIF's, by what brings the image upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def check_form(image_size: ImageSize, channels: int | None) -> tuple[int, int] | None:
    """(height, width) of a size that is an int, a pair or `None`. Raises `InputError` for others, and for channels."""
    if channels not in (None, 1, 3):
        raise InputError(f"channels is {channels!r}; expected 1, 3 or None.")
    size: Any = image_size if isinstance(image_size, (tuple, list)) else (image_size, image_size)
    if len(size) != 2:
        raise InputError(f"image_size is {image_size!r}; expected an integer or (height, width).")
    if image_size is None:
        return None
    height, width = (inputs.check_integer("image_size", side, 1) for side in size)
    return height, width


def suffixes() -> set[str]:
    """Suffixes, in lower case, of the files of images that Pillow reads, with the plugins that are installed."""
    found = set()
    for suffix, form in Image.registered_extensions().items():
        opener = Image.OPEN.get("JPEG" if form == "MPO" else form, [None])[0]  # MPO is a JPEG with more behind it
        stub = isinstance(opener, type) and issubclass(opener, ImageFile.StubImageFile)
        if opener is not None and not stub and form not in UNREAD:
            found.add(suffix)
    return found


def _is_deep(image):
    """Whether it is a grey image of more than 8 bits."""
    return image.mode.startswith("I") or image.mode == "F"


def _decoded_mode(image: Image.Image) -> str:
    """ "L" for grey images of any depth, with or without transparency, else "RGB"."""
    return "L" if image.mode in ("1", "L", "LA", "La") or _is_deep(image) else "RGB"


def _open(encoded: bytes | Path) -> Image.Image:
    return Image.open(io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded)


def _orientation(image):
    """EXIF's, 1 to 8; 1 where there is none, or none that can be read."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged EXIF says nothing of the pixels, which are good
        return 1


def header(encoded: bytes | Path, size: tuple[int, int] | None = None, channels: int | None = None) -> tuple[int, ...]:
    """(height, width, channels) that `prepare(decode(encoded), size, channels)` will give.

    Pixels are read only where the shape depends on what stands behind them: the orientation of a PNG, without `size`.
    """
    with _open(encoded) as image:
        channels = channels or len(_decoded_mode(image))
        if size is None and image.height != image.width and _orientation(image) in (5, 6, 7, 8):
            return (*decode(encoded).size[::-1], channels)
        return (*(size or (image.height, image.width)), channels)


def decode(encoded: bytes | Path) -> Image.Image:
    """An upright Pillow image of mode L or RGB from encoded bytes or a path.

    EXIF's orientation is applied, transparency resolved on white, the first of several frames taken. Of 16 bits the
    upper 8 remain. Floats are read in [0, 1]. Raises `ValueError`: numbers of another range, whose white is not known.
    """
    with _open(encoded) as image:
        image.load()
        mode = _decoded_mode(image)
        if _is_deep(image):
            flat = _of_8_bits(image)
        elif image.mode in ("PA", "LA", "La", "RGBA", "RGBa") or "transparency" in image.info:
            rgba = image.convert("LA" if image.mode == "La" else "RGBA").convert("RGBA")
            flat = Image.alpha_composite(Image.new("RGBA", image.size, "white"), rgba).convert(mode)
        else:
            flat = image.convert(mode)
        turn = ORIENTATIONS.get(_orientation(image))
        return flat if turn is None else flat.transpose(turn)


def _of_8_bits(image):
    """A grey image of 16 bits or of floats as one of 8 bits, which Pillow's own conversion would clip at 255."""
    x = np.asarray(image)
    if image.mode == "F":
        if not (x.min() >= 0.0 and x.max() <= 1.0):
            raise ValueError(f"floats over [{x.min():g}, {x.max():g}]; expected [0, 1], or 8 or 16 bits")
        return Image.fromarray(np.rint(255.0 * x).astype(np.uint8))
    if image.mode == "I" and image.format not in SIXTEEN_BITS:
        raise ValueError("integers of 32 bits, or with a sign; expected 8 or 16 bits")
    grey = (x >> 8).astype(np.uint8)
    grey[x == image.info.get("transparency", -1)] = 255
    return Image.fromarray(grey)


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
