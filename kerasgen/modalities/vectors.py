"""Vectors: `[D]`, float of any range."""

import warnings
from pathlib import Path

import numpy as np

from kerasgen.errors import InputError
from kerasgen.files import replacing
from kerasgen.modalities.modality import Modality
from kerasgen.typing import Array, ArrayLike

MOST = 4096  # rows whose distinct values are counted
SHOWN = 5  # columns that a message names


class Vectors(Modality):
    """Vectors of one length. The numbers of a CSV file read back to the same bits."""

    noun, axes, rank = "vectors", "features", 1
    counted = noun
    suffixes = (".csv", ".npy")
    tabular = True

    def check(self, x: ArrayLike) -> Array:
        x = self.to_array(x)
        if not (np.abs(x) <= np.finfo(np.float32).max).all():
            raise InputError("vectors have values that are not finite.")
        return self.to_storage(x)

    def check_training(self, x: Array, whole: bool = True) -> None:
        """Refuses columns without a density, and warns of those whose scale makes training slow or inexact.

        A column has no density if it is constant (in a sample this is a warning: others may follow), or if most of its
        distinct values, or some of one whose standard deviation is below 1,000 steps of float32, become equal in
        float32. The scale is meant to be about that of the standard normal: a standard deviation of 0.01 to 100, and a
        mean of at most 100 of them.

        Raises `InputError`: it names the columns, their values, and what to do.
        """
        check_precision(x)
        low, high = x.min(axis=0), x.max(axis=0)
        same = low.astype(np.float32) == high.astype(np.float32)
        constant = {c: f"{low[c]:g}" for c in np.flatnonzero(same)}
        if constant and whole:
            raise InputError(
                f"vectors have one value throughout in {_named(constant)}: a constant column has no density. Drop it."
            )
        mean, stddev = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
        far = ~((stddev >= 0.01) & (stddev <= 100.0) & (np.abs(mean) <= 100.0 * stddev)) & ~same
        odd = {c: f"mean {mean[c]:.3g}, standard deviation {stddev[c]:.3g}" for c in np.flatnonzero(far)}
        if constant:
            warnings.warn(
                f"vectors have one value in the {len(x)} rows looked at in {_named(constant)}: a column that is "
                "constant throughout has no density; drop it.",
                stacklevel=2,
            )
        if odd:
            warnings.warn(
                f"vectors are far from mean 0 and variance 1 in {_named(odd)}: standardize them, in float64.",
                stacklevel=2,
            )

    def save(self, x: Array, path: Path, columns: int | None) -> None:
        header = [f"x{index}" for index in range(self.shape[0])]
        with replacing(path) as file:
            file.writelines(f"{','.join(map(str, row))}\n".encode() for row in (header, *x.tolist()))


class Tables(Vectors):
    """Vectors whose columns are of any scale, or constant: a model of them brings them to one."""

    def check_training(self, x: Array, whole: bool = True) -> None:
        """Refuses columns whose values float32 cannot tell apart. Raises `InputError`."""
        check_precision(x)


def check_precision(x: Array) -> None:
    """Raises `InputError` for columns of which float32 loses what tells values apart."""
    low, high = x.min(axis=0), x.max(axis=0)
    some = x[:: max(1, len(x) // MOST)]
    wide = x.dtype.itemsize > np.dtype(np.float32).itemsize
    lost = {c: f"{low[c]} to {high[c]}" for c in range(x.shape[1]) if wide and _collapses(some[:, c])}
    if lost:
        raise InputError(
            "vectors have distinct values that become equal in float32, which models compute in: "
            f"{_named(lost)}. Subtract the mean of the column, and divide by its standard deviation, in float64."
        )


def _collapses(column):
    """Whether float32 loses what tells the values apart; differences of 1e-12, of rounding, are not counted."""
    column = column.astype(np.float64)
    exact = np.unique(column)
    distinct = 1 + np.count_nonzero(np.diff(exact) > 1e-12 * np.abs(exact[1:]))
    kept = len(np.unique(column.astype(np.float32)))
    step = np.spacing(np.abs(column).max().astype(np.float32))
    return kept < distinct and (2 * kept < distinct or 1000.0 * step > column.std())


def _named(columns):
    """Columns by number, each with what was found in it."""
    names = [f"{column} ({found})" for column, found in list(columns.items())[:SHOWN]]
    more = f" and {len(columns) - SHOWN} more" if len(columns) > SHOWN else ""
    return f"column{'s' if len(columns) > 1 else ''} {', '.join(names)}{more}"
