"""Detectors of anomalies on tables with known outliers, beside published ones, by the protocol of PyOD's benchmark.

Of each table 60 % of the rows train a detector, outliers among them, unlabelled, and 40 % are scored; a figure is the
mean over so many random splits. Settings are those of `kerasgen anomaly fit`, the same for all tables.

python tools/anomaly.py --tables=FOLDER --output=anomaly.json                 # .mat files with X and y; goes on
python tools/anomaly.py --tables=FOLDER --output=anomaly.json --markdown      # the table of the figures that are there
"""

import csv
import json
import time
from pathlib import Path

import numpy as np
from absl import app, flags

TABLES = flags.DEFINE_string("tables", None, "folder of .mat files, with auroc_published.csv", required=True)
OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures", required=True)
SPLITS = flags.DEFINE_integer("splits", 10, "random splits", lower_bound=1)
FAMILIES = flags.DEFINE_list("families", None, "those of kerasgen anomaly fit (default: all)")
MARKDOWN = flags.DEFINE_bool("markdown", False, "only print the table of the figures in --output")

TEST_SHARE = 0.4


def published():
    """Figures by table and detector."""
    with (Path(TABLES.value) / "auroc_published.csv").open() as file:
        rows = list(csv.DictReader(file))
    detectors = list(rows[0])[4:]
    return {row["Data"]: {name: float(row[name]) for name in detectors} for row in rows}


def load(name):
    from scipy.io import loadmat

    table = loadmat(Path(TABLES.value) / f"{name}.mat")
    return table["X"].astype(np.float64), table["y"].ravel().astype(bool)


def measure(name, family):
    """AUROC and average precision of each split, and seconds of the first and of the others.

    One detector for all splits, whose weights and optimizer begin anew for each: its programs are compiled once.
    """
    import keras

    from kerasgen import metrics
    from kerasgen.training.detectors import fit_rows, table_detector

    rows, outlier = load(name)
    keras.utils.set_random_seed(0)
    detector = table_detector(rows.shape[1], family)
    state = [*detector.variables, *detector.optimizer.variables]
    start = [keras.ops.convert_to_numpy(variable) for variable in state]
    found, seconds = [], []
    for split in range(SPLITS.value):
        begin = time.monotonic()
        for variable, value in zip(state, start, strict=True):
            variable.assign(value)
        rng, tested = np.random.default_rng(split), np.array([], int)
        while not outlier[tested].any():  # of a few outliers, all may be among the rows to train on
            tested, trained = np.split(rng.permutation(len(rows)), [round(TEST_SHARE * len(rows))])
        fit_rows(detector, rows[trained], split)
        scores = detector.anomaly_score(rows[tested], batch_size=1024, verbose=0)
        both = scores[~outlier[tested]], scores[outlier[tested]]
        found.append([metrics.auroc(*both), metrics.average_precision(*both)])
        seconds.append(time.monotonic() - begin)
    auroc, precision = np.transpose(found).tolist()
    rest = float(np.mean(seconds[1:])) if len(seconds) > 1 else None
    return {"auroc": auroc, "average_precision": precision, "seconds": [seconds[0], rest]}


def markdown(figures):
    """One row a table, one column a detector, and the means below."""
    others = published()
    ours, theirs = list(next(iter(figures.values()))), list(next(iter(others.values())))
    lines = [f"| table | {' | '.join(ours + theirs)} |", "| --- |" + " --- |" * (len(ours) + len(theirs))]
    columns = []
    for name in figures:
        row = [float(np.mean(figures[name][family]["auroc"])) for family in ours]
        row += [others[name][detector] for detector in theirs]
        columns.append(row)
        lines.append(f"| {name} | " + " | ".join(f"{value:.3f}" for value in row) + " |")
    lines.append("| **mean** | " + " | ".join(f"**{value:.3f}**" for value in np.mean(columns, axis=0)) + " |")
    return "\n".join(lines)


def main(_):
    from kerasgen.training import hardware
    from kerasgen.training.detectors import row_families

    output = Path(OUTPUT.value)
    report = json.loads(output.read_text()) if output.exists() else {"figures": {}}
    if not MARKDOWN.value:
        report |= hardware.describe() | {"splits": SPLITS.value, "test_share": TEST_SHARE}
        for name in published():
            for family in FAMILIES.value or row_families():
                figures = report["figures"].setdefault(name, {})
                if len(figures.get(family, {}).get("auroc", ())) == SPLITS.value:
                    continue  # measured before it was stopped
                found = figures[family] = measure(name, family)
                print(f"{name}, {family}: AUROC {np.mean(found['auroc']):.4f}, {found['seconds']}", flush=True)
                output.write_text(json.dumps(report, indent=1) + "\n")
    print(markdown(report["figures"]))


if __name__ == "__main__":
    app.run(main)
