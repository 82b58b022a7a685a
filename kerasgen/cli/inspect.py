"""kerasgen inspect."""

import json
from argparse import Namespace

from kerasgen.hub.inspection import inspect

HELP = "Show what a checkpoint holds, without loading it."


def run(args: Namespace) -> None:
    print(json.dumps(inspect(args.model), indent=2))
