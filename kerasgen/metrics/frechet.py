"""Fréchet distance between Gaussians fitted to features (Dowson and Landau 1982; Heusel et al. 2017, eq. 6)."""

import numpy as np

from kerasgen.errors import InputError
from kerasgen.metrics.checks import check_moments, check_rows, check_weights
from kerasgen.typing import Array, ArrayLike


class Moments:
    """Mean and covariance of rows that come in batches, in float64; any number of rows, memory for F x F values."""

    def __init__(self) -> None:
        self.num = 0
        self._mean = self._scatter = np.zeros(0)

    def update(self, features: ArrayLike) -> "Moments":
        """Adds rows `[N, F]`. Raises `InputError`: they are none, not finite, or not as wide as those before."""
        width = len(self._mean) if self.num else None
        features = check_rows("features", features, num_features=width).astype(np.float64)
        if not self.num:
            self._mean = np.zeros(features.shape[1])
            self._scatter = np.zeros((features.shape[1],) * 2)  # sum of (x - mean)(x - mean)^T
        # Chan et al. 1982, eq. 2.1: moments of two parts from the moments of each.
        num, mean = len(features), features.mean(axis=0)
        shift = mean - self._mean
        total = self.num + num
        centred = features - mean
        self._scatter += centred.T @ centred + np.outer(shift, shift) * (self.num * num / total)
        self._mean = self._mean + shift * (num / total)
        self.num = total
        return self

    def result(self) -> tuple[Array, Array]:
        """Mean `[F]` and unbiased covariance `[F, F]`. Raises `InputError`: there were fewer than two rows."""
        if self.num < 2:
            raise InputError(f"features had {self.num} rows; a covariance takes at least 2.")
        return self._mean, self._scatter / (self.num - 1)


def _root(covariance):
    """A with A A^T = covariance, which may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0.0))


def frechet_distance(mean_a: ArrayLike, covariance_a: ArrayLike, mean_b: ArrayLike, covariance_b: ArrayLike) -> float:
    """|mean_a - mean_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), the squared 2-Wasserstein distance of the Gaussians.

    With C_a = A A^T and C_b = B B^T, the eigenvalues of C_a C_b are the squared singular values of A^T B, so the trace
    of the root is their sum: no square root of a matrix that may be singular or not symmetric.

    Raises `InputError`: these are no means `[F]` and covariances `[F, F]` of one F, or not finite.
    """
    mean_a, a = check_moments("the first set", mean_a, covariance_a)
    mean_b, b = check_moments("the second set", mean_b, covariance_b)
    if len(mean_a) != len(mean_b):
        raise InputError(f"the sets are {len(mean_a)} and {len(mean_b)} features wide; extract both alike.")
    trace_of_root = np.linalg.svd(_root(a).T @ _root(b), compute_uv=False).sum()
    shift = mean_a - mean_b
    return float(shift @ shift + np.trace(a) + np.trace(b) - 2.0 * trace_of_root)


def weighted_moments(features: Array, weights: Array) -> tuple[Array, Array]:
    """Mean and unbiased covariance of rows `[N, F]` that count `weights` `[N]` times each.

    Raises `InputError`: a row is not finite, or they count no more than once in all.
    """
    features = check_rows("features", features)
    weights = check_weights(weights, len(features))
    total = weights.sum()
    if total <= 1.0:
        raise InputError(f"features count {total:g} times in all; a covariance takes at least 2 rows.")
    mean = weights @ features / total
    centred = features - mean
    return mean, (centred * weights[:, None]).T @ centred / (total - 1)
