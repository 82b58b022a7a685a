"""Show what a model is: its recipe and its measured figures."""

import json
from argparse import Namespace

from kerasgen.cli.options import add_model as add_arguments  # noqa: F401, of this command
from kerasgen.hub.registry import describe


def run(args: Namespace) -> None:
    print(json.dumps(describe(args.model), indent=2))
