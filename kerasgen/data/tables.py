"""Tables of numbers, from CSV files."""

import csv
import math
from pathlib import Path

import numpy as np

from kerasgen.errors import DatasetError
from kerasgen.typing import Array

MOST_BYTES = 2**28  # of a file: as lists of text it takes some fifteen times as much memory
NORMAL = ("0", "false", "normal", "inlier", "no")  # labels of what is normal, in lower case


def load_table(path: str | Path, label: str | None = None) -> tuple[Array, Array | None, list[str]]:
    """Rows float64 `[N, D]`, labels `[N]` of a column or `None`, and the names of the columns of the rows.

    The file is CSV, with or without a line of names; columns without are called x0, x1, ... as kerasgen writes them.

    Args:
        label: the name of the column of labels, which may be any text.

    Raises `DatasetError`: there is no such file or column, a row has more or fewer values, or one that is no number.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise DatasetError(f"{path} does not exist; expected a CSV file.")
    if path.stat().st_size > MOST_BYTES:
        raise DatasetError(f"{path} has {path.stat().st_size:,} bytes; expected at most {MOST_BYTES:,}.")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [(number, line) for number, line in enumerate(csv.reader(file), 1) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} is no CSV file of text ({error}).") from error
    if not lines:
        raise DatasetError(f"{path} is empty; expected rows of numbers.")
    first = lines[0][1]
    names = [f"x{index}" for index in range(len(first))]
    if not any(map(_parses, first)):
        names, lines = [name.strip() for name in first], lines[1:]
        if not all(names):
            raise DatasetError(f"{path} has a column without a name; give each one.")
    elif len(first) > 1 and [text.strip() for text in first] == [str(index) for index in range(len(first))]:
        raise DatasetError(f"{path} begins with 0, 1, ...: name its columns, or leave these numbers out.")
    if twice := {name for name in names if names.count(name) > 1}:
        raise DatasetError(f"{path} has two columns {min(twice)!r}; rename one.")
    if label is not None and label not in names:
        raise DatasetError(f"{path} has no column {label!r}; expected one of {', '.join(names)}.")
    place = None if label is None else names.index(label)
    rows, labels = [], []
    for number, line in lines:
        if len(line) != len(names):
            raise DatasetError(f"{path}, line {number}, has {len(line)} values; expected {len(names)}.")
        labels.append("" if place is None else line[place].strip())
        rows.append(
            [_number(text, name, number, path) for text, name in zip(line, names, strict=True) if name != label]
        )
    kept = [name for name in names if name != label]
    if not rows or not kept:
        raise DatasetError(f"{path} has no {'rows' if kept else 'columns besides the labels'}.")
    return np.array(rows, np.float64), None if place is None else np.array(labels), kept


def is_normal(labels: Array) -> Array:
    """Which labels are of normal rows: 0 as a number, or "normal", "inlier", "false", "no".

    Raises `DatasetError`: none is, or some are empty.
    """
    plain = np.char.lower(labels)
    if np.isin(plain, ("", "nan")).any():
        raise DatasetError("some labels are empty; give each row one, 0 for what is normal.")
    found = np.array([float(label) == 0.0 if _parses(label) else label in NORMAL for label in plain])
    if not found.any():
        shown = ", ".join(map(repr, np.unique(labels)[:3]))
        raise DatasetError(f"labels are {shown}; expected some of {', '.join(NORMAL)} for what is normal.")
    return found


def _parses(text: str) -> bool:
    """Whether it is a number, or stands for none, as "nan" does."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(text: str, name: str, line: int, path: Path) -> float:
    if not (_parses(text) and math.isfinite(float(text))):
        what = "an empty value" if not text.strip() else f"{text.strip()!r}"
        advice = "expected a finite number; fill in or drop what is missing, and give names of kinds as numbers"
        raise DatasetError(f"{path}, line {line}, column {name}, has {what}; {advice}.")
    return float(text)
