"""Encode and decode images; the grid shows each image above its reconstruction."""

from argparse import ArgumentParser, Namespace

from kerasgen.cli import options, transform


def add_arguments(parser: ArgumentParser) -> None:
    transform.add_arguments(parser, "reconstructions.png")
    parser.add_argument("--labels", type=options.labels, help="classes of the images, if the input has none")


def run(args: Namespace) -> None:
    transform.run(args, "reconstruct")
