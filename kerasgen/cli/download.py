"""Bring a model into the cache of the Hugging Face Hub, for use without a network."""

from argparse import ArgumentParser, Namespace

from kerasgen.cli import options
from kerasgen.hub.registry import checkpoint_folder


def add_arguments(parser: ArgumentParser) -> None:
    options.add_model(parser)
    parser.add_argument("--cache_dir", help="(default: that of huggingface_hub)")


def run(args: Namespace) -> None:
    print(checkpoint_folder(args.model, cache_dir=args.cache_dir))
