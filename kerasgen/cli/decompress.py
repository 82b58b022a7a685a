"""Decompress what kerasgen compress has written, with the same model."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from kerasgen.base import with_progress
from kerasgen.cli import options
from kerasgen.cli.compress import SUFFIX
from kerasgen.errors import InputError
from kerasgen.hub.registry import load


def add_arguments(parser: ArgumentParser) -> None:
    options.add_model(parser)
    parser.add_argument("--input", type=Path, required=True, help=f"a {SUFFIX} file, or a folder of them")
    options.add_output(parser, "decompressed")


def run(args: Namespace) -> None:
    model = load(args.model)
    decompress = model.verb("decompress")
    model.modality.check_output(args.output)
    files = sorted(args.input.glob(f"*{SUFFIX}")) if args.input.is_dir() else [args.input]
    if not files:
        raise InputError(f"{args.input} has no {SUFFIX} files; expected those that kerasgen compress has written.")
    if len(files) > 1 and args.output.suffix:
        raise InputError(f"{args.input} has several files; give --output a folder to write each one to.")
    settings = {"verbose": 0} if len(files) > 1 else {}  # one bar for all
    for file in with_progress(files):
        images = decompress(file.read_bytes(), **settings)
        output = args.output if len(files) == 1 else args.output / file.stem
        model.modality.of_shape(images.shape[1:]).write(images, output)
    print(f"{len(files)} files decompressed to {args.output}")
