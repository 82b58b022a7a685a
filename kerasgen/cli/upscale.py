"""kerasgen upscale."""

from argparse import ArgumentParser, Namespace

from kerasgen.cli import options
from kerasgen.cli.transform import transform

HELP = "Enlarge images; the grid shows each small image above what was drawn for it."


def add_arguments(parser: ArgumentParser) -> None:
    options.add_model(parser)
    options.add_output(parser, "enlarged.png")
    options.add_input(parser)
    parser.add_argument("--labels", type=options.labels, help="classes, if the model has any and the input none")
    options.add_sampling(parser)


def run(args: Namespace) -> None:
    settings = options.given(args, "sampler", "steps", "guidance")
    transform(args, "upscale", seed=args.seed, temperature=args.temperature, **settings)
