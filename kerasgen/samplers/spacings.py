"""Which levels a sampler of so many steps goes through."""

import numpy as np

from kerasgen.errors import InputError
from kerasgen.samplers.base import Levels

NAMES = ("trailing", "leading", "linspace")


def _check(spacing):
    if spacing not in NAMES:
        raise InputError(f"spacing is {spacing!r}; expected one of {[*NAMES, 'karras']}.")


def discrete(num, steps, spacing):
    """Indices `[steps]`, falling, of a chain of `num` levels (Lin et al. 2024, table 2)."""
    _check(spacing)
    if steps > num:
        raise InputError(f"steps is {steps}, but the model has {num} levels; ask for at most as many.")
    if spacing == "trailing":
        return np.round(num - np.arange(steps) * (num / steps)).astype(int) - 1
    if spacing == "leading":
        return np.arange(steps)[::-1] * (num // steps)
    return np.round(np.linspace(num - 1, 0, steps)).astype(int)


def continuous(steps, spacing):
    """Times `[steps]` in (0, 1], falling."""
    _check(spacing)
    if spacing == "trailing":
        return 1.0 - np.arange(steps) / steps
    if spacing == "leading":
        return np.maximum(1.0 - (np.arange(steps) + 1.0) / steps, 1e-3)
    return np.linspace(1.0, 1e-3, steps)


def karras(times, alpha, sigma, steps, rho=7.0):
    """Levels at which (sigma / alpha)^(1 / rho) falls evenly (Karras et al. 2022, equation 5).

    `times`, `alpha`, `sigma` `[T]` are a table from data to noise, between whose rows log(sigma / alpha) is linear.
    """
    finite = alpha > 0.0
    log_s = np.log(sigma[finite] / alpha[finite])
    ends = np.exp(log_s[[-1, 0]] / rho)
    s = np.linspace(*ends, steps) ** rho if steps > 1 else ends[:1] ** rho
    time = np.interp(np.log(s), log_s, times[finite])
    alpha, sigma = 1.0 / np.sqrt(1.0 + s * s), s / np.sqrt(1.0 + s * s)
    return Levels(np.append(alpha, 1.0), np.append(sigma, 0.0), np.append(time, times[0]))
