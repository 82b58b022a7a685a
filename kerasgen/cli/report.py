"""Make one HTML page of a model's figures and pictures."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from kerasgen.cli import options
from kerasgen.hub.registry import checkpoint_folder, load
from kerasgen.training.report import write_report


def add_arguments(parser: ArgumentParser) -> None:
    options.add_model(parser)
    parser.add_argument("--dataset", help="show images of this data set instead of the recipe's")
    parser.add_argument("--output", type=Path, default=Path("report.html"), help="(default: %(default)s)")


def run(args: Namespace) -> None:
    folder = checkpoint_folder(args.model)
    recipe = options.read_recipe(args.model, args.dataset, [])
    write_report(recipe, load(args.model), folder, args.output)
    print(f"written to {args.output}")
