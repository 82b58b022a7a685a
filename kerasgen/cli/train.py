"""Train the model of a recipe; run again, it goes on where it was."""

import importlib.util
import os
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

import keras

from kerasgen.cli import options
from kerasgen.errors import InputError, ProcessLost, RunStopped
from kerasgen.training import budget, run as runs
from kerasgen.training.strategies import ENGINES


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="NAME|RECIPE", help="a zoo name, or the path of a recipe.toml")
    parser.add_argument("--workdir", required=True, help="folder of the run: log, pictures, backup, checkpoint")
    parser.add_argument("--dataset", help="train on this data set instead: a TFDS name or folder, a folder of images")
    about = "as many steps as fit in a time, such as 90s, 25m or 1.5h, instead of the recipe's epochs"
    parser.add_argument("--budget", metavar="TIME", help=about)
    about = "seconds between backups within an epoch (default: %(default)s)"
    parser.add_argument("--backup-every", type=float, default=600.0, metavar="SECONDS", help=about)
    parser.add_argument(
        "--tensorboard", action="store_true", help="write curves for TensorBoard, too: WORKDIR/tensorboard"
    )
    about = "folder to keep the decoded training set in, where it is larger than memory"
    parser.add_argument("--cache", metavar="DIR", help=about)
    about = "how to train on several devices: see docs/scaling.md (default: what there is)"
    parser.add_argument("--strategy", choices=ENGINES[keras.backend.backend()], default="auto", help=about)
    about = "change an entry of the recipe, for example training.epochs=3; may be repeated"
    parser.add_argument("--override", action="append", default=[], metavar="KEY=VALUE", help=about)


def run(args: Namespace) -> None:
    recipe = options.read_recipe(args.recipe, args.dataset, args.override)
    if args.budget is not None and args.strategy != "auto":
        raise InputError("--budget measures a step on one device; give training.epochs with --strategy instead.")
    if args.budget is not None:
        recipe = budget.within(recipe, args.budget, args.workdir, lambda line: print(line, file=sys.stderr))
    if args.tensorboard and not importlib.util.find_spec("tensorboard"):
        raise InputError("--tensorboard needs tensorboard: pip install tensorboard.")
    callbacks = [keras.callbacks.TensorBoard(str(Path(args.workdir) / "tensorboard"))] if args.tensorboard else []
    try:
        settings = {"backup_seconds": args.backup_every, "strategy": args.strategy, "cache": args.cache}
        folder = runs.train(recipe, args.workdir, callbacks=callbacks, **settings)
    except RunStopped as stopped:
        print(f"kerasgen: {stopped}", file=sys.stderr)
        return
    except ProcessLost as lost:
        print(f"kerasgen: {lost}", file=sys.stderr, flush=True)
        os._exit(1)  # JAX would wait for the lost process, and end in a dump
    print(f"The checkpoint is {folder}; kerasgen.load and the other commands take its path.")
