"""Show what a checkpoint holds, without loading it."""

import json
from argparse import Namespace

from kerasgen.cli.options import add_model as add_arguments  # noqa: F401, of this command
from kerasgen.hub import inspection


def run(args: Namespace) -> None:
    print(json.dumps(inspection.inspect(args.model), indent=2))
