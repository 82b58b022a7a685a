"""kerasgen list."""

import json
from argparse import ArgumentParser, Namespace

from kerasgen.cli.options import print_table
from kerasgen.errors import InputError
from kerasgen.hub.registry import list_models

HELP = "List the models of the zoo."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--family", help="only models of this family, such as VariationalAutoencoder")


def run(args: Namespace) -> None:
    models = list_models(args.family)
    if args.json:
        print(json.dumps(models, indent=2))
        return
    if not models:
        raise InputError(f"no model of family {args.family!r}; kerasgen list shows all.")
    print_table(
        [
            {
                "name": model["name"],
                "family": model["family"],
                "dataset": model["dataset"],
                "shape": "x".join(map(str, model["shape"] or ())) or None,
                "classes": model["num_classes"],
                "parameters": model["parameters"],
                "bundled": "yes" if model["bundled"] else "no",
            }
            for model in models
        ]
    )
