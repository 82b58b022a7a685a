"""What functions of metrics are handed: one `InputError` for what is no set of rows, probabilities or images."""

import numpy as np

from kerasgen.errors import InputError
from kerasgen.modalities import Images
from kerasgen.modalities.modality import to_numpy
from kerasgen.typing import Array, ArrayLike

LOOSE = 1e-3  # by how much probabilities may miss a sum of 1, and covariances symmetry


def check_finite(name: str, x: ArrayLike, *axes: str | int) -> Array:
    """`x` as an array of floats, finite, with these axes: a name where any length of at least 1 will do, or a length.

    Raises `InputError`, in which `name` is what is not so.
    """
    x = to_numpy(name, x)
    expected = f"[{', '.join(map(str, axes))}]"
    if x.dtype.kind not in "fiub":
        raise InputError(f"{name} have dtype {x.dtype}; expected numbers {expected}.")
    fits = (side == axis if isinstance(axis, int) else side >= 1 for side, axis in zip(x.shape, axes, strict=False))
    if x.ndim != len(axes) or not all(fits):
        raise InputError(f"{name} have shape {list(x.shape)}; expected {expected}, no axis of length 0.")
    x = x.astype(np.float64) if x.dtype.kind != "f" else x
    if not (fine := np.isfinite(x)).all():
        bad = np.unique(np.argwhere(~fine)[:, 0])
        raise InputError(f"{name} have NaN or infinite values, the first in row {bad[0]}, in {len(bad)} of {len(x)}.")
    return x


def check_rows(name: str, x: ArrayLike, least: int = 1, num_features: int | None = None) -> Array:
    """Rows `[N, F]` of floats, at least so many, finite, and as wide as others where these are `num_features` wide."""
    x = check_finite(name, x, "N", "F")
    if len(x) < least:
        raise InputError(f"{name} have {len(x)} rows; this takes at least {least}.")
    if num_features not in (None, x.shape[1]):
        raise InputError(f"{name} are {x.shape[1]} features wide, the others {num_features}; extract both alike.")
    return x


def check_sets(x: ArrayLike, y: ArrayLike, least: tuple[int, int], names: tuple[str, str]) -> tuple[Array, Array]:
    """Two sets of rows of one width, at least so many in each."""
    first = check_rows(names[0], x, least[0])
    return first, check_rows(names[1], y, least[1], first.shape[1])


def check_weights(weights: ArrayLike, num: int) -> Array:
    """float64 `[N]`: how often each row counts, with a positive sum."""
    weights = check_finite("weights", weights, num).astype(np.float64)
    if weights.min() < 0.0 or weights.sum() <= 0.0:
        raise InputError("weights are negative or all zero; expected how often each row counts.")
    return weights


def check_probabilities(p: ArrayLike) -> Array:
    """Probabilities of classes, float64 `[N, K]`, each row of sum 1."""
    p = check_finite("probabilities", p, "N", "K").astype(np.float64)
    sums = p.sum(axis=1)
    if p.min() < 0.0 or np.abs(sums - 1.0).max() > LOOSE:
        found = f"values from {p.min():.4g} and sums of rows from {sums.min():.4g} to {sums.max():.4g}"
        raise InputError(f"probabilities have {found}; expected none negative and sums of 1, as after a softmax.")
    return p


def check_moments(name: str, mean: ArrayLike, covariance: ArrayLike) -> tuple[Array, Array]:
    """A mean `[F]` and a covariance `[F, F]`, float64."""
    mean = check_finite(f"{name}: means", mean, "F").astype(np.float64)
    covariance = check_finite(f"{name}: covariances", covariance, len(mean), len(mean)).astype(np.float64)
    scale = np.abs(covariance).max()
    if np.abs(covariance - covariance.T).max() > LOOSE * scale or np.diagonal(covariance).min() < -LOOSE * scale:
        raise InputError(f"{name}: the covariance is not symmetric, or has a negative variance.")
    return mean, covariance


def check_pairs(a: ArrayLike, b: ArrayLike, least_side: int = 1) -> tuple[Array, Array]:
    """Two sets of as many images of one shape: float32 `[N, H, W, C]` in [0, 1], of uint8 or float in [0, 1]."""
    a, b = (to_numpy("images", x) for x in (a, b))
    shape = a.shape
    if shape != b.shape or len(shape) != 4 or min(shape) < 1 or min(shape[1:3]) < least_side:
        sides = f" with sides of at least {least_side}" if least_side > 1 else ""
        raise InputError(f"images have shapes {shape} and {b.shape}; expected [N, H, W, C]{sides}, both the same.")
    modality = Images(shape[1:])
    first, second = (modality.to_float(modality.check(x)) for x in (a, b))
    return first, second
