"""kerasgen reconstruct."""

from argparse import ArgumentParser, Namespace

from kerasgen.cli import options
from kerasgen.cli.transform import transform

HELP = "Encode and decode images; the grid shows each image above its reconstruction."


def add_arguments(parser: ArgumentParser) -> None:
    options.add_model(parser)
    options.add_output(parser, "reconstructions.png")
    options.add_input(parser)
    parser.add_argument("--labels", type=options.labels, help="classes of the images, if the input has none")


def run(args: Namespace) -> None:
    transform(args, "reconstruct")
