"""Fill in the blanks of a text, and print it."""

from argparse import ArgumentParser, Namespace

from kerasgen.cli import options
from kerasgen.cli.sample import settings_of
from kerasgen.hub.registry import load


def add_arguments(parser: ArgumentParser) -> None:
    options.add_model(parser)
    parser.add_argument("text", metavar="TEXT", help="with a blank for each token to fill in, such as ma__n")
    parser.add_argument("--blank", default="_", help="character that stands for an open token (default: %(default)s)")
    options.add_texts(parser)


def run(args: Namespace) -> None:
    model = load(args.model)
    infill = model.verb("infill")
    settings = settings_of(model, args, "infill")
    tokens = infill([args.text] * args.num_samples, blank=args.blank, verbose=0, **settings)
    options.print_texts(model.modality.texts(tokens))
