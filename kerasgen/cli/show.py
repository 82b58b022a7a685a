"""kerasgen show."""

import json
from argparse import Namespace

from kerasgen.hub.registry import describe

HELP = "Show what a model is: its recipe and its measured figures."


def run(args: Namespace) -> None:
    print(json.dumps(describe(args.model), indent=2))
