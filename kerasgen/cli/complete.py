"""Go on from a text: print texts that begin with it."""

from argparse import ArgumentParser, Namespace

from kerasgen.cli import options
from kerasgen.cli.sample import settings_of
from kerasgen.hub.registry import load


def add_arguments(parser: ArgumentParser) -> None:
    options.add_model(parser)
    parser.add_argument("prompt", metavar="TEXT", help="what the texts begin with")
    options.add_texts(parser)


def run(args: Namespace) -> None:
    model = load(args.model)
    settings = settings_of(model, args, "complete")
    tokens = model.verb("sample")(args.num_samples, verbose=0, **settings)
    options.print_texts(model.modality.texts(tokens))
