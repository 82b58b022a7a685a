"""Enlarge images; the grid shows each small image above what was drawn for it."""

from argparse import ArgumentParser, Namespace

from kerasgen.cli import options, transform


def add_arguments(parser: ArgumentParser) -> None:
    transform.add_arguments(parser, "enlarged.png")
    parser.add_argument("--labels", type=options.labels, help="classes, if the model has any and the input none")
    options.add_sampling(parser)


def run(args: Namespace) -> None:
    settings = options.given(args, "sampler", "steps", "guidance")
    transform.run(args, "upscale", seed=args.seed, temperature=args.temperature, **settings)
