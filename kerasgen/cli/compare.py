"""Compare the figures of two metrics.json files; exit status 1 if any was measured otherwise."""

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path

from kerasgen.cli import options
from kerasgen.errors import InputError
from kerasgen.metrics import compare


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("a", metavar="A.json", type=Path)
    parser.add_argument("b", metavar="B.json", type=Path)


def _read(path):
    try:
        report = json.loads(path.read_text())
        if not isinstance(report["metrics"], dict):
            raise KeyError("metrics")
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not a metrics.json as kerasgen evaluate writes it ({error}).") from error
    return report


def run(args: Namespace) -> None:
    a, b = _read(args.a), _read(args.b)
    names = [report.get("model") or str(path) for report, path in ((a, args.a), (b, args.b))]
    if names[0] == names[1]:
        names = [f"{name} ({path})" for name, path in zip(names, (args.a, args.b), strict=True)]
    alike, unlike = compare(a, b)
    rows = [
        {"metric": name, **dict(zip(names, map(options.interval, two), strict=True))} for name, two in alike.items()
    ]
    if rows:
        options.print_table(rows)
    for name, fields in unlike.items():
        differing = "; ".join(f"{field} is {one!r} and {other!r}" for field, (one, other) in fields.items())
        print(f"{name} is not compared: {differing}")
    if unlike or not alike:
        raise InputError(
            f"{len(unlike)} of the {len(unlike) + len(alike)} figures that both have were measured otherwise; measure "
            "both alike with kerasgen evaluate."
        )
