"""What the subcommands share that make images of images."""

import inspect
from argparse import ArgumentParser, Namespace
from pathlib import Path

import numpy as np

from kerasgen import data, pictures
from kerasgen.base import below_each_other
from kerasgen.cli import options
from kerasgen.errors import InputError
from kerasgen.hub.registry import load
from kerasgen.modalities import Images, Videos
from kerasgen.typing import Any, Array, Sequence

MOST_COLUMNS = 10


def add_arguments(parser: ArgumentParser, output: str) -> None:
    options.add_model(parser)
    options.add_output(parser, output)
    about = "a folder of images, an image, a .npy file, or a data set's name or TFDS folder"
    parser.add_argument("--input", required=True, help=about)
    parser.add_argument("--split", help="of the data set (default: test; of a folder without splits, all)")
    about = "the first so many (default: %(default)s)"
    parser.add_argument("--num_images", type=options.positive, default=20, help=about)


def run(args: Namespace, verb: str, **settings: Any) -> None:
    """Reads images, lets the model do `verb` with them, and writes what comes of it."""
    model = load(args.model)
    method = model.verb(verb)
    if unknown := settings.keys() - inspect.signature(method).parameters:
        raise InputError(f"{type(model).__name__} does not take --{', --'.join(sorted(unknown))} to {verb}.")
    output = model.modality.check_output(args.output)
    if verb in model.of_any_size and not args.input.endswith((".npy", ".npz")):
        return _run_on_whole(args, model, method, output, settings)
    given = getattr(args, "labels", None)
    wanted = model.exclusive_classes if given is None else None
    images, labels = _read(args, model.source_shape_of(verb), wanted)
    if wanted is not None and labels is None:
        raise InputError(f"{args.model} needs classes, and {args.input} has none; give them with --labels.")
    if model.num_classes is not None:
        settings["labels"] = labels if given is None else options.labels_of(given, len(images))
    results = method(images, **settings)
    if isinstance(model.modality, Videos) and output.suffix:
        x = model.modality.to_float(images)
        model.modality.write(below_each_other([x, results], 1), output, 1 if output.suffix == ".png" else 2)
    elif output.suffix == ".png":
        _write_below(images, results, output)
    else:
        model.modality.write(results, output)
    print(f"{len(results)} {model.modality.noun} written to {output}")


def _run_on_whole(args, model, method, output, settings):
    """As `run`, on images each of its own sides; of several, each result is a file of its own."""
    split = args.split or data.default_split(args.input)
    images = data.load_whole(args.input, split, model.shape[-1], limit=args.num_images)
    if len(images) > 1 and output.suffix:
        raise InputError(f"{args.input} has several images; give --output a folder to write each one to.")
    for index, image in enumerate(images):
        (result,) = method(image[None], **settings)
        path = output if output.suffix else output / f"{index:06d}.png"
        if path.suffix == ".png":
            pictures.save_frames([pictures.to_uint8(result)], path)
        else:
            Images(result.shape).write(result[None], path)
    print(f"{len(images)} {model.modality.noun} written to {output}")


def _read(args, shape, num_classes):
    """The first examples of `--input`, for a model that reads this shape, and labels if they are of so many classes."""
    path = Path(args.input).expanduser()
    if path.suffix.lower() in (".npy", ".npz") and not path.is_dir():
        return read_array(path, args.num_images), None
    if len(shape) == 4:
        return read_videos(path, shape, shape[0], args.num_images), None
    if len(shape) != 3:
        raise InputError(f"{args.model} reads examples of shape {shape}, no images; give --input a .npy file of them.")
    split = args.split or data.default_split(args.input)
    form = {"channels": shape[2], "labels": False if num_classes is None else None}
    images, labels = data.load_arrays(args.input, split, shape[:2], limit=args.num_images, **form)
    names = None if labels is None else data.class_names(args.input, split)
    if names is not None and len(names) != num_classes:
        told = f"{args.input} has {len(names)} classes, such as {names[0]}, and {args.model} has {num_classes}"
        raise InputError(f"{told}; give those of the model with --labels.")
    return images, labels


def read_array(path: Path, limit: int | None) -> Array:
    """The first `limit` rows of a .npy file; what is pickled has no memory to map, and is refused."""
    if not path.is_file():
        raise InputError(f"{path} does not exist; expected an array of images in a .npy file.")
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # of whatever kind: NumPy's reader raises many
        raise InputError(f"{path} is no whole .npy file of numbers ({error}); write it with numpy.save.") from error
    return np.array(array[:limit] if array.ndim else array)


def read_videos(path: Path, shape: Sequence[int], frames: int, limit: int | None) -> Array:
    """The first `frames` of videos, uint8 `[N, frames, H, W, C]` of the sides of `shape`: a file, or all of a folder.

    Of a .npy file `[N, T, H, W, C]` the first `limit`. Raises `InputError`: they have unequal numbers of frames.
    """
    path = path.expanduser()
    if path.suffix.lower() == ".npy":
        found = read_array(path, limit)
        return found[:, :frames] if found.ndim == 5 else found
    files = sorted(file for file in path.iterdir() if file.is_file())[:limit] if path.is_dir() else [path]
    videos = [data.load_video(file, (shape[1], shape[2]), channels=shape[3], limit=frames) for file in files]
    lengths = sorted({len(video) for video in videos})
    if len(lengths) != 1:
        raise InputError(f"{path} has {len(files)} videos of {lengths or 'no'} frames; expected some, of equally many.")
    return np.stack(videos)


def _write_below(images, results, output):
    """Pairs of rows, up to ten images and below them what they became; small and gray ones are made alike."""
    images = Images(images.shape[1:]).to_float(images)
    factor = results.shape[1] // images.shape[1]
    images = images.repeat(factor, axis=1).repeat(factor, axis=2)
    channels = max(images.shape[-1], results.shape[-1])
    columns = min(MOST_COLUMNS, len(images))
    pad = [(0, -len(images) % columns)] + [(0, 0)] * 3
    pairs = [np.broadcast_to(a, (*a.shape[:3], channels)) for a in (images, results)]
    pairs = below_each_other([np.pad(a, pad, constant_values=1.0) for a in pairs], columns)
    pictures.save_frames([pictures.grid(pairs, columns)], output)
