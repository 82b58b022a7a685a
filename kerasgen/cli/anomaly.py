"""Train a detector of anomalies on a table, score rows or images by it or by a model, and measure it."""

import csv
import io
from argparse import ArgumentParser, Namespace
from pathlib import Path

from kerasgen import data
from kerasgen.cli import options, transform
from kerasgen.errors import InputError
from kerasgen.files import replacing
from kerasgen.hub.registry import load
from kerasgen.metrics import anomaly_report
from kerasgen.metrics.anomaly import scorer_of
from kerasgen.modalities import Vectors
from kerasgen.training.detectors import row_families, train_table_detector
from kerasgen.typing import Any, Array

INPUT = "a CSV or .npy file, or for models of images a folder, an image, a data set's name or TFDS folder"


def add_arguments(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    fit = actions.add_parser("fit", help="train a detector on a table of normal rows, or of mostly normal ones")
    fit.add_argument("--input", type=Path, required=True, help="a CSV file")
    fit.add_argument("--label", help="column of labels; rows that it does not call normal (0) are left out")
    fit.add_argument(
        "--output", type=Path, default=Path("detector"), help="folder or .keras file (default: %(default)s)"
    )
    fit.add_argument("--family", choices=row_families(), help="of its model (default: the first)")
    fit.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    score = actions.add_parser("score", help="write a score for each row or image")
    score.add_argument("model", metavar="MODEL", help="a detector, or any model with anomaly_score")
    score.add_argument("--input", required=True, help=INPUT)
    score.add_argument("--output", type=Path, default=Path("scores.csv"), help="a CSV file (default: %(default)s)")
    report = actions.add_parser("report", help="measure how well normal and anomalous are told apart")
    report.add_argument("model", metavar="MODEL", help="a detector, or any model with anomaly_score")
    report.add_argument("--normal", help=f"{INPUT}: what is normal")
    report.add_argument("--anomalous", help="likewise: what is not")
    report.add_argument("--input", help="a CSV file of both, with --label")
    report.add_argument("--output", type=Path, default=Path("report.json"), help=".json or .png (default: %(default)s)")
    for command in (fit, report):
        about = "share of normal examples that may be called anomalous (default: %(default)s)"
        command.add_argument("--false_positive_rate", dest="rate", type=float, default=0.05, help=about)
    for command in (score, report):
        command.add_argument("--label", help="column of labels of a CSV file")
        command.add_argument("--split", help="of a data set of images (default: test; of a folder without splits, all)")
        command.add_argument(
            "--scorer", help="a way of scoring that the model has, such as complexity or reconstruction"
        )


def run(args: Namespace) -> None:
    {"fit": _fit, "score": _score, "report": _report}[args.action](args)


def _fit(args):
    rows, labels, names = data.load_table(args.input, args.label)
    if labels is not None:
        rows = rows[data.is_normal(labels)]
    detector = train_table_detector(rows, args.family, args.rate, names, args.seed)
    detector.save(args.output)
    scorer = next(iter(detector.anomaly_scorers()))
    print(f"a detector by {scorer} of {len(rows)} rows of {len(names)} columns written to {args.output}")


def _score(args):
    model = load(args.model)
    score = scorer_of(model, args.scorer)
    names, examples = _examples(args, model, args.input)
    scores = score(examples)
    threshold = None if args.scorer else model.anomaly_threshold
    with replacing(args.output) as file:
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(["example", "score"] + ([] if threshold is None else ["anomalous"]))
        for name, value in zip(names, scores.tolist(), strict=True):
            writer.writerow([name, repr(value)] + ([] if threshold is None else [int(value > threshold)]))
        file.write(text.getvalue().encode())
    above = "" if threshold is None else f", {int((scores > threshold).sum())} of them anomalous"
    print(f"{len(scores)} scores written to {args.output}{above}")


def _report(args):
    if args.output.suffix not in (".json", ".png"):
        raise InputError(f"{args.output} ends in {args.output.suffix or 'no suffix'}; expected .json or .png.")
    model = load(args.model)
    if args.input and args.label and not (args.normal or args.anomalous):
        rows, labels = _rows(args, model, args.input)
        usual = data.is_normal(labels)
        normal, anomalous = rows[usual], rows[~usual]
    elif args.normal and args.anomalous and not args.input:
        normal, anomalous = (_examples(args, model, source)[1] for source in (args.normal, args.anomalous))
    else:
        raise InputError("give --normal and --anomalous, or --input, a CSV file of both, with --label.")
    if not (len(normal) and len(anomalous)):
        raise InputError(
            f"there are {len(normal)} normal and {len(anomalous)} anomalous examples; expected some of each."
        )
    report = anomaly_report(model, normal, anomalous, args.scorer, args.rate)
    report.save(args.output)
    options.print_table([{"figure": key, "value": value} for key, value in report.to_dict().items()])
    print(f"written to {args.output}")


def _examples(args: Namespace, model: Any, source: str) -> tuple[list[str], Array]:
    """Names, and examples as the model takes them."""
    path = Path(source).expanduser()
    if path.suffix.lower() in (".npy", ".npz") and not path.is_dir():
        x = transform.read_array(path, None)
    elif isinstance(model.modality, Vectors):
        x, _ = _rows(args, model, source)
    else:
        split = args.split or data.default_split(source)
        x, _ = data.load_arrays(source, split, model.shape[:2], channels=model.shape[2], labels=False)
    return [str(index) for index in range(len(x))], x


def _rows(args: Namespace, model: Any, source: str) -> tuple[Array, Array | None]:
    """Rows of a CSV file, with the columns in the model's order where both have names; and labels, with `--label`."""
    rows, labels, names = data.load_table(source, args.label)
    if rows.shape[1] != model.shape[0]:
        told = f"{source} has {rows.shape[1]} columns ({', '.join(names[:5])}, ...)"
        raise InputError(f"{told}; {args.model} takes {model.shape[0]}. Is one of them a --label?")
    known = list(model.column_names or names)
    unnamed = [f"x{index}" for index in range(len(names))]
    if sorted(names) == sorted(known):
        return rows[:, [names.index(name) for name in known]], labels
    if unnamed in (names, known):
        return rows, labels
    other = next(name for name in names if name not in known)
    raise InputError(f"{source} has a column {other!r}; {args.model} was trained on {', '.join(known)}.")
