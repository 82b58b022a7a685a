"""Nearest neighbours among features: precision and recall, density and coverage, memorisation."""

from collections.abc import Iterator

import numpy as np

from kerasgen.typing import Array, ArrayLike

ROWS = 1000  # of a distance matrix at once


def distances(x: Array, y: Array) -> Iterator[Array]:
    """Euclidean distances from rows of `x` to all rows of `y`, in parts `[up to ROWS, M]`, float64."""
    centre = y.mean(axis=0)  # the closer to the origin, the less is lost in the difference of squares
    x, y = x - centre, y - centre
    squares = (y * y).sum(axis=1)
    for start in range(0, len(x), ROWS):
        part = x[start : start + ROWS]
        yield np.sqrt(np.maximum((part * part).sum(axis=1)[:, None] + squares - 2.0 * part @ y.T, 0.0))


def radii(x: Array, k: int) -> Array:
    """The distance of each row to its k-th nearest other row, `[N]`."""
    # A row's distance to itself is the smallest.
    return np.concatenate([np.partition(part, k, axis=1)[:, k] for part in distances(x, x)])


def precision_and_recall(real: ArrayLike, fake: ArrayLike, k: int = 3) -> tuple[Array, Array]:
    """Which of `fake` lie among `real`, bool `[M]`, and which of `real` lie among `fake`, bool `[N]`.

    A point lies among others if it is within the distance of one of them to its k-th nearest neighbour. Precision and
    recall are the means (Kynkäänniemi et al. 2019, eq. 1 and 2).
    """
    real, fake = np.asarray(real, np.float64), np.asarray(fake, np.float64)
    real_radii, fake_radii = radii(real, k), radii(fake, k)
    precise = [(part <= real_radii).any(axis=1) for part in distances(fake, real)]
    recalled = [(part <= fake_radii).any(axis=1) for part in distances(real, fake)]
    return np.concatenate(precise), np.concatenate(recalled)


def density_and_coverage(real: ArrayLike, fake: ArrayLike, k: int = 5) -> tuple[Array, Array]:
    """How many balls of `real` hold each of `fake`, over k, `[M]`; which balls hold any of `fake`, bool `[N]`.

    A ball is around one of `real` and reaches to its k-th nearest neighbour. Density and coverage are the means (Naeem
    et al. 2020, eq. 4 and 6).
    """
    real, fake = np.asarray(real, np.float64), np.asarray(fake, np.float64)
    real_radii = radii(real, k)
    counts = [(part <= real_radii).sum(axis=1) for part in distances(fake, real)]
    nearest = [part.min(axis=1) for part in distances(real, fake)]
    return np.concatenate(counts) / k, np.concatenate(nearest) <= real_radii


def nearest(x: Array, training: Array, k: int = 50) -> tuple[Array, Array]:
    """The index in `training` of the row nearest to each of `x`, and its distance over the mean of the next k - 1.

    The ratio is near 0 for a copy and near 1 for a new image, however smooth such images are (Carlini et al. 2023,
    section 4.2).
    """
    k = min(k, len(training))
    index, ratio = [], []
    for part in distances(x, training):
        closest = np.sort(np.partition(part, k - 1, axis=1)[:, :k], axis=1)
        index.append(part.argmin(axis=1))
        ratio.append(closest[:, 0] / np.maximum(closest[:, 1:].mean(axis=1), np.finfo(part.dtype).tiny))
    return np.concatenate(index), np.concatenate(ratio)


def memorised(fake: Array, training: Array, held_out: Array, quantile: float = 0.01, k: int = 50) -> Array:
    """Which of `fake` are closer to one training image than all but 1 % of held-out images are, bool `[N]`.

    Closeness is the ratio of `nearest`. A model that does not copy has a mean near `quantile`.
    """
    threshold = np.quantile(nearest(held_out, training, k)[1], quantile)
    return nearest(fake, training, k)[1] < threshold
