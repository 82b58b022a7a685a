"""kerasgen translate."""

from argparse import ArgumentParser, Namespace

from kerasgen.cli import options
from kerasgen.cli.transform import transform

HELP = "Translate images to images; the grid shows each image above its translation."


def add_arguments(parser: ArgumentParser) -> None:
    options.add_model(parser)
    options.add_output(parser, "translations.png")
    options.add_input(parser)
    parser.add_argument("--direction", choices=("a_to_b", "b_to_a"), help="of a CycleGAN (default: a_to_b)")


def run(args: Namespace) -> None:
    transform(args, "translate", **options.given(args, "direction"))
