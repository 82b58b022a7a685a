"""Nearest neighbours among features: precision and recall, density and coverage, memorisation."""

from collections.abc import Iterator

import numpy as np

from kerasgen import inputs
from kerasgen.base import with_progress
from kerasgen.errors import InputError
from kerasgen.metrics.checks import check_sets
from kerasgen.typing import Array, ArrayLike, Verbose

ROWS = 1000  # of a distance matrix at once


def distances(x: Array, y: Array, verbose: Verbose = 0) -> Iterator[Array]:
    """Euclidean distances from rows of `x` to all rows of `y`, in parts `[up to ROWS, M]`, float64."""
    centre = y.mean(axis=0)  # the closer to the origin, the less is lost in the difference of squares
    x, y = x - centre, y - centre
    squares = (y * y).sum(axis=1)
    for start in with_progress(range(0, len(x), ROWS), verbose, lambda start: min(ROWS, len(x) - start)):
        part = x[start : start + ROWS]
        yield np.sqrt(np.maximum((part * part).sum(axis=1)[:, None] + squares - 2.0 * part @ y.T, 0.0))


def _sets(real, fake, k, of_fake):
    """Both as float64: a k-th neighbour needs k + 1 rows."""
    least = (inputs.check_integer("k", k, 1) + 1, of_fake + 1)
    return tuple(x.astype(np.float64) for x in check_sets(real, fake, least, ("real features", "fake features")))


def radii(x: Array, k: int, verbose: Verbose = 0) -> Array:
    """The distance of each row to its k-th nearest other row, `[N]`."""
    # A row's distance to itself is the smallest.
    return np.concatenate([np.partition(part, k, axis=1)[:, k] for part in distances(x, x, verbose)])


def precision_and_recall(real: ArrayLike, fake: ArrayLike, k: int = 3, verbose: Verbose = 0) -> tuple[Array, Array]:
    """Which of `fake` lie among `real`, bool `[M]`, and which of `real` lie among `fake`, bool `[N]`.

    A point lies among others if it is within the distance of one of them to its k-th nearest neighbour. Precision and
    recall are the means (Kynkäänniemi et al. 2019, eq. 1 and 2).

    Raises `InputError`: k rows or fewer of one set, rows that are not finite, or of two widths.
    """
    real, fake = _sets(real, fake, k, k)
    real_radii, fake_radii = radii(real, k, verbose), radii(fake, k, verbose)
    precise = [(part <= real_radii).any(axis=1) for part in distances(fake, real, verbose)]
    recalled = [(part <= fake_radii).any(axis=1) for part in distances(real, fake, verbose)]
    return np.concatenate(precise), np.concatenate(recalled)


def density_and_coverage(real: ArrayLike, fake: ArrayLike, k: int = 5, verbose: Verbose = 0) -> tuple[Array, Array]:
    """How many balls of `real` hold each of `fake`, over k, `[M]`; which balls hold any of `fake`, bool `[N]`.

    A ball is around one of `real` and reaches to its k-th nearest neighbour. Density and coverage are the means (Naeem
    et al. 2020, eq. 4 and 6).

    Raises `InputError`: k rows of `real` or fewer, none of `fake`, rows that are not finite, or of two widths.
    """
    real, fake = _sets(real, fake, k, 0)
    real_radii = radii(real, k, verbose)
    counts = [(part <= real_radii).sum(axis=1) for part in distances(fake, real, verbose)]
    nearest = [part.min(axis=1) for part in distances(real, fake, verbose)]
    return np.concatenate(counts) / k, np.concatenate(nearest) <= real_radii


def nearest(x: Array, training: Array, k: int = 50, verbose: Verbose = 0) -> tuple[Array, Array]:
    """The index in `training` of the row nearest to each of `x`, and its distance over the mean of the next k - 1.

    The ratio is near 0 for a copy and near 1 for a new image, however smooth such images are (Carlini et al. 2023,
    section 4.2).

    Raises `InputError`: fewer than two training rows, none of x, rows that are not finite, or of two widths.
    """
    x, training = check_sets(x, training, (1, 2), ("samples", "training examples"))
    inputs.check_integer("k", k, 2)
    k = min(k, len(training))
    index, ratio = [], []
    for part in distances(x, training, verbose):
        closest = np.sort(np.partition(part, k - 1, axis=1)[:, :k], axis=1)
        index.append(part.argmin(axis=1))
        ratio.append(closest[:, 0] / np.maximum(closest[:, 1:].mean(axis=1), np.finfo(part.dtype).tiny))
    return np.concatenate(index), np.concatenate(ratio)


def memorised(
    fake: Array, training: Array, held_out: Array, quantile: float = 0.01, k: int = 50, verbose: Verbose = 0
) -> Array:
    """Which of `fake` are closer to one training image than all but 1 % of held-out images are, bool `[N]`.

    Closeness is the ratio of `nearest`. A model that does not copy has a mean near `quantile`.

    Raises `InputError`: as `nearest`.
    """
    if inputs.check_number("quantile", quantile, 0.0) > 1.0:
        raise InputError(f"quantile is {quantile}; expected a number from 0 to 1.")
    threshold = np.quantile(nearest(held_out, training, k, verbose)[1], quantile)
    return nearest(fake, training, k, verbose)[1] < threshold
