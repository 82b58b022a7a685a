"""List the models of the zoo."""

import json
from argparse import ArgumentParser, Namespace

from kerasgen.cli.options import print_table
from kerasgen.errors import InputError
from kerasgen.hub.registry import list_models


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--family", help="only models of this family, such as VariationalAutoencoder")


def run(args: Namespace) -> None:
    models = list_models(args.family)
    if args.json:
        return print(json.dumps(models, indent=2))
    if not models:
        raise InputError(f"no model of family {args.family!r}; kerasgen list shows all.")
    for model in models:
        model["shape"] = "x".join(map(str, model["shape"] or ())) or None
        model["classes"] = model["num_classes"]
        model["bundled"] = "yes" if model["bundled"] else "no"
    columns = ("name", "family", "dataset", "shape", "classes", "parameters", "bundled")
    print_table([{column: model[column] for column in columns} for model in models])
