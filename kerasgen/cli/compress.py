"""Compress images, of any size where the model allows it, to files that kerasgen decompress reads."""

import inspect
from argparse import ArgumentParser, Namespace
from pathlib import Path

import numpy as np

from kerasgen import data
from kerasgen.base import with_progress
from kerasgen.cli import options, transform
from kerasgen.errors import InputError
from kerasgen.files import replacing
from kerasgen.hub.registry import load
from kerasgen.modalities import Sounds, Videos

SUFFIX = ".kgen"


def add_arguments(parser: ArgumentParser) -> None:
    options.add_model(parser)
    about = "a folder of images, an image, a .npy file, or a data set's name or TFDS folder"
    parser.add_argument("--input", required=True, help=about)
    parser.add_argument("--split", help="of the data set (default: test; of a folder without splits, all)")
    parser.add_argument("--num_images", type=options.positive, help="the first so many (default: all)")
    about = (
        f"a {SUFFIX} file, or of several images of different sizes a folder for one file each (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, default=Path(f"images{SUFFIX}"), help=about)
    parser.add_argument("--bits", type=options.positive, help="of an Autoencoder's latents, 1 to 8")


def run(args: Namespace) -> None:
    model = load(args.model)
    compress, settings = model.verb("compress"), options.given(args, "bits")
    if unknown := settings.keys() - inspect.signature(compress).parameters:
        raise InputError(f"{type(model).__name__} does not take --{', --'.join(sorted(unknown))} to compress.")
    if args.output.suffix not in ("", SUFFIX):
        raise InputError(f"{args.output} ends in {args.output.suffix}; expected {SUFFIX} or a folder.")
    groups = _read(args, model)
    if len(groups) > 1 and args.output.suffix:
        raise InputError(
            f"{args.input} has {model.modality.noun} of several sizes; give --output a folder to write each one to."
        )
    total, extent, unit = 0, 0.0, "pixel"
    settings |= {"verbose": 0} if len(groups) > 1 else {}  # one bar for all
    for index, images in enumerate(with_progress(groups, rows=len, noun=model.modality.counted)):
        path = args.output if args.output.suffix else args.output / f"{index:06d}{SUFFIX}"
        content = compress(images, **settings)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(content)
        much, unit = model.modality.extent(images)
        total, extent = total + len(content), extent + much
    print(f"{total} bytes written to {args.output}, {8 * total / extent:.4g} bits a {unit}")


def _read(args, model):
    """The images, those of one size together if they all are, else each alone."""
    path = Path(args.input).expanduser()
    if path.suffix.lower() in (".npy", ".npz") and not path.is_dir():
        return [transform.read_array(path, args.num_images)]
    if isinstance(model.modality, Videos):
        return [transform.read_videos(path, model.shape, model.shape[0], args.num_images)]
    if isinstance(model.modality, Sounds):
        return _grouped(args, data.load_whole_sounds(path, sounds=model.modality, limit=args.num_images))
    split = args.split or data.default_split(args.input)
    channels = model.shape[-1]
    if "compress" not in model.of_any_size:
        form = {"channels": channels, "labels": False, "limit": args.num_images}
        return [data.load_arrays(args.input, split, model.shape[:2], **form)[0]]
    images = data.load_whole(args.input, split, channels, limit=args.num_images)
    return _grouped(args, images)


def _grouped(args, examples):
    if len({x.shape for x in examples}) == 1 and args.output.suffix:
        return [np.stack(examples)]
    return [x[None] for x in examples]
