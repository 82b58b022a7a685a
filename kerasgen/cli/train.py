"""Train the model of a recipe; run again, it goes on where it was."""

from argparse import ArgumentParser, Namespace

from kerasgen.cli import options
from kerasgen.training import run as runs


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="NAME|RECIPE", help="a zoo name, or the path of a recipe.toml")
    parser.add_argument("--workdir", required=True, help="folder of the run: log, pictures, backup, checkpoint")
    parser.add_argument("--dataset", help="train on this data set instead: a TFDS name or folder, a folder of images")
    about = "change an entry of the recipe, for example training.epochs=3; may be repeated"
    parser.add_argument("--override", action="append", default=[], metavar="KEY=VALUE", help=about)


def run(args: Namespace) -> None:
    folder = runs.train(options.read_recipe(args.recipe, args.dataset, args.override), args.workdir)
    print(f"The checkpoint is {folder}; kerasgen.load and the other commands take its path.")
