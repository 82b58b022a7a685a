"""The variance-exploding form, in which the probability-flow ODE is dy/ds = (y - x_0) / s."""

import numpy as np

from kerasgen.errors import InputError


def variance_exploding(levels, name):
    """alpha and s = sigma / alpha, `[N + 1]`; raises `InputError` where s is infinite."""
    if not np.all(levels.alpha > 0.0):
        raise InputError(
            f"{name} cannot start from pure noise (zero terminal SNR), where x / alpha is infinite; use DDIM or DDPM."
        )
    return levels.alpha, levels.sigma / levels.alpha
