"""Translate images to images; the grid shows each image above its translation."""

from argparse import ArgumentParser, Namespace

from kerasgen.cli import options, transform


def add_arguments(parser: ArgumentParser) -> None:
    transform.add_arguments(parser, "translations.png")
    parser.add_argument("--direction", choices=("a_to_b", "b_to_a"), help="of a CycleGAN (default: a_to_b)")


def run(args: Namespace) -> None:
    transform.run(args, "translate", **options.given(args, "direction"))
