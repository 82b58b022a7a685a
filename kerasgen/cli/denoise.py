"""Remove noise from images; a model for images of any size keeps their sizes."""

from argparse import ArgumentParser, Namespace

from kerasgen.cli import options, transform


def add_arguments(parser: ArgumentParser) -> None:
    transform.add_arguments(parser, "denoised.png")
    about = "standard deviation of the noise, on the scale of [0, 1] (default: estimated from each image)"
    parser.add_argument("--noise_stddev", type=float, help=about)


def run(args: Namespace) -> None:
    transform.run(args, "denoise", **options.given(args, "noise_stddev"))
