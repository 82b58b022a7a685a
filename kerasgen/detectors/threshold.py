"""Where scores begin to be anomalous."""

import math

import numpy as np

from kerasgen.errors import InputError
from kerasgen.inputs import check_number
from kerasgen.typing import Array


def check_rate(rate: float) -> float:
    """A false-positive rate within (0, 1). Raises `InputError`."""
    if not 0.0 < check_number("false_positive_rate", rate, 0.0) < 1.0:
        raise InputError(f"false_positive_rate is {rate}; expected a number between 0 and 1.")
    return float(rate)


def least_of(rate: float) -> int:
    """The least number of normal examples that set a threshold for a rate. Raises `InputError`."""
    return math.ceil(1.0 / check_rate(rate) - 1.0 - 1e-9)


def threshold_of(normal: Array, rate: float) -> float:
    """The threshold above which a new normal example is with probability at most `rate`, if it is like these.

    Of N scores the k-th least, k = ceil((N + 1) (1 - rate)) (Vovk et al. 2005: split conformal prediction).

    Raises `InputError`: the rate is not within (0, 1), or N is too small for it.
    """
    if len(normal) < least_of(rate):
        told = f"{len(normal)} normal examples are too few for a rate of {rate:g}"
        raise InputError(f"{told}; expected {least_of(rate)} or more.")
    place = math.ceil((len(normal) + 1) * (1.0 - rate) - 1e-9)
    return float(np.sort(normal)[place - 1])
