"""The levels that a sampler steps through, of those that a model has."""

import numpy as np

from kerasgen.errors import InputError
from kerasgen.inputs import check_choice
from kerasgen.typing import Array

NAMES = ("trailing", "leading", "linspace", "karras")


def discrete(num: int, steps: int, spacing: str) -> Array:
    """Indices `[steps]`, falling, of a chain of `num` levels (Lin et al. 2024, table 2)."""
    check_choice("spacing", spacing, NAMES)
    if steps > num:
        raise InputError(f"steps is {steps}, but the model has {num} levels; ask for at most as many.")
    if spacing == "trailing":
        return np.round(num - np.arange(steps) * (num / steps)).astype(int) - 1
    if spacing == "leading":
        return np.arange(steps)[::-1] * (num // steps)
    return np.round(np.linspace(num - 1, 0, steps)).astype(int)


def continuous(steps: int, spacing: str) -> Array:
    """Times `[steps]` in (0, 1], falling."""
    check_choice("spacing", spacing, NAMES)
    if spacing == "trailing":
        return 1.0 - np.arange(steps) / steps
    if spacing == "leading":
        return np.maximum(1.0 - (np.arange(steps) + 1.0) / steps, 1e-3)
    return np.linspace(1.0, 1e-3, steps)


def karras(low: float, high: float, steps: int, rho: float = 7.0) -> Array:
    """sigma / alpha `[steps]` whose 1 / rho-th power falls evenly from `high` to `low` (Karras et al. 2022, eq. 5)."""
    return np.linspace(high ** (1.0 / rho), low ** (1.0 / rho), steps) ** rho
