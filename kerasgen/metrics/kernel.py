"""Kernel distance: squared maximum mean discrepancy with a cubic kernel (Bińkowski et al. 2018, section 4)."""

import math

import numpy as np

from kerasgen.metrics.checks import check_sets
from kerasgen.typing import ArrayLike

ROWS = 1000  # of the kernel matrix at once


def _row_sums(x, y):
    """For each row of `x`, the sum over `y` of k(x, y) = (x . y / F + 1)^3."""
    parts = [((x[i : i + ROWS] @ y.T / x.shape[1] + 1.0) ** 3).sum(axis=1) for i in range(0, len(x), ROWS)]
    return np.concatenate(parts)


def kernel_distance(x: ArrayLike, y: ArrayLike) -> tuple[float, float]:
    """Unbiased estimate from features `[N, F]` and `[M, F]`, and its standard error.

    All pairs are used, not random subsets:
    sum_{i != j} k(x_i, x_j) / (N (N - 1)) + sum_{i != j} k(y_i, y_j) / (M (M - 1)) - 2 sum_{ij} k(x_i, y_j) / (N M).
    The standard error is the jackknife's: each row in turn is left out of the estimate.

    Raises `InputError`: fewer than 3 rows, rows that are not finite, or of two widths.
    """
    x, y = (z.astype(np.float64) for z in check_sets(x, y, (3, 3), ("features of x", "features of y")))
    n, m = len(x), len(y)
    within_x = _row_sums(x, x) - ((x * x).sum(axis=1) / x.shape[1] + 1.0) ** 3  # [N], each without itself
    within_y = _row_sums(y, y) - ((y * y).sum(axis=1) / y.shape[1] + 1.0) ** 3
    across_x, across_y = _row_sums(x, y), _row_sums(y, x)
    xx, yy, xy = within_x.sum(), within_y.sum(), across_x.sum()
    value = xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2.0 * xy / (n * m)
    without_x = (xx - 2.0 * within_x) / ((n - 1) * (n - 2)) - 2.0 * (xy - across_x) / ((n - 1) * m)
    without_y = (yy - 2.0 * within_y) / ((m - 1) * (m - 2)) - 2.0 * (xy - across_y) / (n * (m - 1))
    variance = (n - 1) * without_x.var() + (m - 1) * without_y.var()
    return float(value), math.sqrt(variance)
