"""Arithmetic of whole numbers, the same on every machine: what probabilities for coding are made with.

A number is kept as a whole multiple of 2^-BITS, in float64. Sums and products of whole numbers below 2^53 are exact
there, in whatever order a machine adds them up, so that matrix products may be done by any BLAS. A decoder that finds
other probabilities than the encoder, by a rounding error in a single one, gives nonsense: floats will not do.
"""

import functools
import math

import numpy as np

from kerasgen.errors import CheckpointError
from kerasgen.typing import Array, ArrayLike

BITS = 12  # of the fraction
FINER = 8  # further bits of the fractions of places where intervals end
LOG_RANGE = 16  # nats below the most likely symbol at which all others are alike; sigmoids beyond are 0 or 1
SCALE_RANGE = 10  # of logarithms of scales
TAIL = 6  # standard deviations beyond which a normal distribution has nothing
TOP = 2.0**24  # the weight of the most likely symbol
MOST = 2.0**52


def fixed(x: ArrayLike) -> Array:
    """The nearest multiples of 2^-BITS, as whole numbers in float64."""
    return np.rint(np.asarray(x, np.float64) * 2.0**BITS)


def shifted(x: Array) -> Array:
    """A product of two fixed-point numbers as one: floor(x / 2^BITS)."""
    return np.floor(x * 2.0**-BITS)


def check_exact(*bounds: float) -> None:
    """Raises `CheckpointError`: sums of such magnitudes need not be exact."""
    if not all(bound < MOST for bound in bounds):
        raise CheckpointError("weights are too large for coding: products of them are not exact in whole numbers.")


# Tables of functions. None of their entries is near a tie before it is rounded, so that any machine's library, whose
# last bits may differ, gives the same; a test looks at all of them.


def _arguments(low: int, high: int) -> Array:
    """All fixed-point numbers from `low` to `high`, as floats."""
    return np.arange(low * 2**BITS, high * 2**BITS + 1) * 2.0**-BITS


TABLES = {
    "exponential": lambda: TOP * np.exp(-_arguments(0, LOG_RANGE)),
    "scale": lambda: 2.0**BITS * np.exp(_arguments(-SCALE_RANGE, SCALE_RANGE)),
    "sigmoid": lambda: TOP / (1.0 + np.exp(-_arguments(-LOG_RANGE, LOG_RANGE))),
    "normal": lambda: TOP * np.array([0.5 * math.erfc(-t / math.sqrt(2.0)) for t in _arguments(-TAIL, TAIL)]),
}


@functools.cache
def table(name: str) -> Array:
    """The values of a function of `TABLES`, rounded."""
    return np.rint(TABLES[name]())


def look_up(name: str, x: Array, low: int, high: int) -> Array:
    """The function at fixed-point numbers x, brought into its range from `low` to `high`."""
    places = np.clip(x, low * 2**BITS, high * 2**BITS) - low * 2**BITS
    return table(name)[places.astype(np.int64)]


def sigmoid(x: Array) -> Array:
    """TOP / (1 + exp(-x))."""
    return look_up("sigmoid", x, -LOG_RANGE, LOG_RANGE)


def silu(x: Array) -> Array:
    """x sigmoid(x), fixed-point."""
    return np.floor(x * sigmoid(x) / TOP)


def normal_cdf(x: Array) -> Array:
    """TOP Phi(x), Phi the distribution function of N(0, 1)."""
    return look_up("normal", x, -TAIL, TAIL)


def exponential(x: Array) -> Array:
    """exp(x), fixed-point, for x within SCALE_RANGE of 0."""
    return look_up("scale", x, -SCALE_RANGE, SCALE_RANGE)


def softmax_weights(logits: Array) -> Array:
    """Whole numbers `[N, K]` in proportion to exp(logits), the largest of a row TOP, of fixed-point logits `[N, K]`."""
    below = logits.max(axis=1, keepdims=True) - logits
    return np.maximum(look_up("exponential", below, 0, LOG_RANGE), 1.0)


def differences(inside: Array) -> Array:
    """Weights of K intervals, at least 1: of TOP times a distribution function at the edges between, `[..., K - 1]`."""
    first, last = np.zeros_like(inside[..., :1]), np.full_like(inside[..., :1], TOP)
    return np.diff(np.concatenate([first, inside, last], axis=-1), axis=-1) + 1.0
