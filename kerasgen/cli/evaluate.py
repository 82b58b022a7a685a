"""Measure a model on a split of its data set."""

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path

from kerasgen.cli import options
from kerasgen.hub.registry import load
from kerasgen.training.run import evaluate_recipe


def add_arguments(parser: ArgumentParser) -> None:
    options.add_model(parser)
    parser.add_argument("--split", help="(default: the recipe's evaluation split)")
    parser.add_argument("--dataset", help="measure on this data set instead of the recipe's")
    about = "(default: the recipe's, 10000 unless it says otherwise)"
    parser.add_argument("--num_samples", type=options.positive, help=about)
    about = "inception-2015, or a classifier as for MODEL (default: the recipe's evaluation.extractor)"
    parser.add_argument("--extractor", help=about)
    about = "such as frechet_distance,kernel_distance (default: all that apply)"
    parser.add_argument("--metrics", type=options.names, help=about)
    parser.add_argument("--output", type=Path, default=Path("metrics.json"), help="(default: %(default)s)")


def run(args: Namespace) -> None:
    changes = options.given(args, "split", "num_samples", "extractor")
    overrides = [f"evaluation.{key}={json.dumps(value)}" for key, value in changes.items()]
    recipe = options.read_recipe(args.model, args.dataset, overrides)
    model = load(args.model)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    report = {"model": recipe.name} | evaluate_recipe(recipe, model, recipe.evaluation.split, metrics=args.metrics)
    args.output.write_text(json.dumps(report, indent=2) + "\n")
    rows = []
    for name, figure in report["metrics"].items():
        value = options.interval(figure)
        rows.append({"metric": name, "value ± standard error": value, "seconds": figure["seconds"]})
    options.print_table(rows)
    print(f"written to {args.output}")
