"""What the page lets a model do: each a function of a model and of what the controls say, without the page."""

import inspect
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from kerasgen import pictures
from kerasgen.base import BaseModel, with_progress
from kerasgen.data.images import decode, prepare
from kerasgen.errors import InputError
from kerasgen.typing import Any, Array, Verbose

BATCH = 16  # examples between two looks at whether to stop
MOST_SAMPLES, MOST_STEPS = 100, 200
MOST_BYTES, MOST_PIXELS = 20 << 20, 16_000_000  # of an upload
LARGEST = 768  # sides of a picture that a model of any size is given
CANVAS = 384  # pixels of the longer side of what is painted on
ROW = 8  # of interpolations, and of the states of a sampler
EXAMPLES = 4  # whose states are shown
# Settings of `sample` that have a control: least, greatest, and where it starts.
NUMBERS = {
    "temperature": (0.0, 1.5, 1.0),
    "guidance": (0.0, 6.0, 1.0),
    "truncation": (0.0, 3.0, 2.0),
    "top_p": (0.05, 1.0, 1.0),
}


class Result(NamedTuple):
    """A picture or lines of text; of a picture also the arrays that it shows, as the model gave them."""

    shown: Image.Image | str
    arrays: Array | None = None


def settings_of(model: BaseModel, verb: str = "sample") -> dict[str, Any]:
    """The settings of a verb, with their defaults."""
    parameters = inspect.signature(model.verb(verb)).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def picture(images: Array, columns: int | None = None) -> Image.Image:
    """One picture of images `[N, H, W, C]` in [0, 1]."""
    return pictures.to_image(pictures.grid(np.asarray(images), columns))


def labels_of(model: BaseModel, classes: list[int] | None, wishes: dict[str, int] | None, num: int) -> Any:
    """Labels as `sample` takes them: classes in turn, or what is asked of attributes; `None` for the model's own."""
    if wishes:
        return wishes
    return np.resize(np.asarray(classes, np.int32), num) if classes else None


def first_class(model: BaseModel, labels: Any, num: int) -> Any:
    """The labels, or where there are none and the model has classes the first one."""
    if labels is None and model.num_classes is not None:
        return {} if model.attributes else np.zeros(num, np.int32)
    return labels


def made(model: BaseModel, found: Array, columns: int | None = None) -> Result:
    """The result that is these examples, drawn or written."""
    if model.modality.drawable:
        return Result(pictures.to_image(model.modality.grid(found, columns)), found)
    return Result("\n".join(model.modality.texts(found)))


def sample(model: BaseModel, num: int, seed: int, labels: Any = None, verbose: Verbose = 0, **settings: Any) -> Result:
    """Samples."""
    num = min(int(num), MOST_SAMPLES)
    found = model.verb("sample")(num, labels, seed=int(seed), batch_size=BATCH, verbose=verbose, **settings)
    return made(model, found)


def states(model: BaseModel, seed: int, labels: Any = None, verbose: Verbose = 0, **settings: Any) -> Result:
    """What the sampler has after some of its steps, from noise to image, a row an example."""
    kept = model.verb("sample")(
        EXAMPLES, labels, seed=int(seed), batch_size=EXAMPLES, verbose=verbose, intermediates=True, **settings
    )
    found = kept[:, np.unique(np.linspace(0, kept.shape[1] - 1, ROW).round().astype(int))]
    return Result(picture(np.clip(found, 0.0, 1.0).reshape(-1, *found.shape[2:]), found.shape[1]), found)


def between(model: BaseModel, seed: int, other: int, labels: Any = None, verbose: Verbose = 0) -> Result:
    """From one sample to another of the same class, the first unless it is given, through their latents."""
    labels = first_class(model, labels, 1)
    given = {"labels": labels[:1]} if isinstance(labels, np.ndarray) else {}
    ends = [model.verb("sample")(1, seed=int(number), verbose=0, **given) for number in (seed, other)]
    found = model.verb("interpolate")(*ends, steps=ROW, batch_size=ROW, verbose=verbose, **given)[0]
    return made(model, found, ROW)


def along(model: BaseModel, names: list[str], seed: int, verbose: Verbose = 0, **settings: Any) -> Result:
    """The same noise without an attribute, with any, and with it: a row for each attribute."""
    if not names:
        raise InputError("no attribute is chosen; choose one at least.")
    wishes = [{name: value} if value >= 0 else {} for name in names for value in (0, -1, 1)]
    found = [
        model.verb("sample")(1, wish, seed=int(seed), verbose=0, **settings) for wish in with_progress(wishes, verbose)
    ]
    return made(model, np.concatenate(found), 3)


def filled(
    model: BaseModel,
    text: str = "",
    num: int = 1,
    seed: int = 0,
    labels: Any = None,
    verbose: Verbose = 0,
    **settings: Any,
) -> Result:
    """Texts with the gaps of one filled in."""
    if not text:
        raise InputError("there is no text yet; write one, with _ for each letter that is missing.")
    num = min(int(num), MOST_SAMPLES)
    found = model.verb("infill")([text] * num, labels, int(seed), batch_size=BATCH, verbose=verbose, **settings)
    return Result("\n".join(model.modality.texts(found)))


def read(path: str | Path, size: tuple[int, int] | None, channels: int) -> Array:
    """An uploaded picture, uint8 `[1, H, W, C]`.

    Raises `InputError`: it is too large, or no picture that Pillow reads, whatever its name says.
    """
    path = Path(path)
    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"{path.name} has {path.stat().st_size >> 20} MB; expected up to {MOST_BYTES >> 20}.")
    try:
        with Image.open(path) as image:
            width, height = image.size
    except Image.DecompressionBombError as error:
        raise InputError(f"{path.name} is too large: {error}. Make it smaller first.") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{path.name} is no picture that can be read; expected PNG, JPEG or the like.") from error
    if width * height > MOST_PIXELS:
        told_size = f"{path.name} has {width} x {height} pixels"
        raise InputError(f"{told_size}; expected up to {MOST_PIXELS // 1_000_000} million. Make it smaller first.")
    try:
        image = decode(path)
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{path.name} cannot be read to its end: {error}.") from error
    if size is None and max(image.size) > LARGEST:
        image.thumbnail((LARGEST, LARGEST))
    return prepare(image, size, channels)[None]


def changed(model: BaseModel, verb: str, path: str | Path, verbose: Verbose = 0, **settings: Any) -> Result:
    """An uploaded picture, and beside it what the model makes of it by a verb such as "upscale"."""
    height, width, channels = model.source_shape_of(verb)
    given = read(path, None if verb in model.of_any_size else (height, width), channels)
    if "labels" in settings_of(model, verb):
        settings["labels"] = first_class(model, None, 1)
    found = model.verb(verb)(given, verbose=verbose, **settings)
    before = given / 255.0
    factor = found.shape[1] // before.shape[1]
    before = before.repeat(factor, axis=1).repeat(factor, axis=2)
    channels = max(before.shape[-1], found.shape[-1])
    pair = np.concatenate([np.broadcast_to(a, (*a.shape[:3], channels)) for a in (before, found)])
    return Result(picture(pair, 2), found)


def canvas(model: BaseModel, seed: int, labels: Any = None, verbose: Verbose = 0) -> Array:
    """A sample to paint on, its pixels squares: uint8 `[k H, k W, 3]`."""
    found = model.verb("sample")(1, labels, seed=int(seed), verbose=verbose)[0]
    side = math.ceil(CANVAS / max(found.shape[:2]))
    colours = np.broadcast_to(pictures.to_uint8(found), (*found.shape[:2], 3))
    return colours.repeat(side, axis=0).repeat(side, axis=1)


def inpainted(
    model: BaseModel,
    drawn: dict[str, Any] | None = None,
    num: int = 1,
    seed: int = 0,
    labels: Any = None,
    verbose: Verbose = 0,
    **settings: Any,
) -> Result:
    """What the model draws where a brush has been, other each time.

    Args:
        drawn: "background", a picture in whole multiples of the model's size, and "layers", RGBA with the strokes.
    """
    height, width, channels = model.shape
    if drawn is None or drawn.get("background") is None:
        raise InputError("there is no picture yet; draw one first, or upload one.")
    marks = [np.asarray(layer)[..., 3] > 0 for layer in drawn["layers"]]
    if not any(mark.any() for mark in marks):
        raise InputError("nothing is marked; paint over what is to be drawn anew.")
    mask = np.asarray(Image.fromarray(np.any(marks, axis=0)).resize((width, height), Image.Resampling.BOX), bool)
    image, num = Image.fromarray(np.asarray(drawn["background"])[..., :3]), min(int(num), MOST_SAMPLES)
    if image.width % width == image.height % height == 0:  # squares of one value each are brought back exactly
        image = image.resize((width, height), Image.Resampling.BOX)
    known = prepare(image, (height, width), channels)[None].repeat(num, axis=0)
    settings |= {"labels": first_class(model, labels, num), "seed": int(seed)}
    found = model.verb("inpaint")(known, mask, batch_size=BATCH, verbose=verbose, **settings)
    return Result(picture(np.concatenate([known[:1] / 255.0, found])), found)
