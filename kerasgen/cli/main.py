"""The `kerasgen` command.

Exit status 0; 1 for a failure, with one line on standard error; 2 for bad usage.
"""

import argparse
import importlib
import sys
import warnings

from absl import app, logging
from absl.flags import argparse_flags

from kerasgen.errors import KerasgenError
from kerasgen.version import __version__

# Modules of kerasgen.cli with `add_arguments(parser)` and `run(args)`; the docstring of a module is its help.
COMMANDS = (
    *("list", "show", "sample", "complete", "infill", "forecast"),
    *("reconstruct", "denoise", "compress", "decompress", "translate", "upscale"),
    *("train", "evaluate", "compare", "report", "anomaly"),
    *("import", "export", "download", "inspect", "publish", "demo"),
)


def parser() -> argparse.ArgumentParser:
    """The command line; each command's function is its default `run`."""
    top = argparse_flags.ArgumentParser(prog="kerasgen", description="A zoo of pretrained generative models for Keras.")
    top.add_argument("--version", action="version", version=f"kerasgen {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        module = importlib.import_module(f"kerasgen.cli.{name}")
        command = commands.add_parser(name, help=module.__doc__, description=module.__doc__)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return top


def execute(args: argparse.Namespace) -> int:
    """Runs the parsed command; its exit status."""
    try:
        args.run(args)
    except (KerasgenError, OSError) as error:
        print(f"kerasgen: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


def _one_line(message, *_args, **_kwargs):
    return f"kerasgen: warning: {' '.join(str(message).split())}\n"


def main() -> None:
    warnings.formatwarning = _one_line
    logging.set_verbosity(logging.ERROR)  # the notices of TensorFlow Datasets are not ours
    app.run(execute, flags_parser=lambda argv: parser().parse_args(argv[1:]))


if __name__ == "__main__":
    main()
