"""How much noise there is at which time: x = alpha x_0 + sigma e with alpha^2 + sigma^2 = 1, e ~ N(0, I).

Time runs from 0, data, to 1, noise. Each schedule gives log alpha^2, from a module with NumPy's functions (NumPy for
samplers, `keras.ops` for training) and a time in [0, 1].
"""

import math

import numpy as np

from kerasgen.errors import InputError
from kerasgen.typing import Any, Array, Callable, Config, Tensor

# log alpha^2 stays between these: a standard deviation of 4.5e-5 of noise next to data, and of data next to noise.
LOWEST, HIGHEST = -20.0, -2e-9


def linear(xp: Any, t: Tensor) -> Tensor:
    """β(t) = 0.1 + 19.9 t, log alpha^2 = -∫β (Song et al. 2021b, equation 33: DDPM's linear betas)."""
    return -(0.1 * t + 9.95 * t * t)


def cosine(xp: Any, t: Tensor) -> Tensor:
    """alpha = cos((t + s) / (1 + s) π / 2) over its value at 0, s = 0.008 (Nichol and Dhariwal 2021, equation 17)."""
    s = 0.008
    cosines = xp.cos((t + s) / (1.0 + s) * (0.5 * math.pi))
    return 2.0 * (xp.log(xp.maximum(cosines, 1e-6)) - math.log(math.cos(s / (1.0 + s) * 0.5 * math.pi)))


def sigmoid(xp: Any, t: Tensor) -> Tensor:
    """alpha^2 falls from 1 to 0 as a sigmoid over [-3, 3] does (Jabri et al. 2023, algorithm 2)."""
    low, high = 1.0 / (1.0 + math.exp(3.0)), 1.0 / (1.0 + math.exp(-3.0))
    square = (high - 1.0 / (1.0 + xp.exp(-(6.0 * t - 3.0)))) / (high - low)
    return xp.log(xp.maximum(square, 1e-9))


SCHEDULES = {"linear": linear, "cosine": cosine, "sigmoid": sigmoid}

# EDM's distribution of the noise's log standard deviation in training, and its range in sampling (Karras et al. 2022,
# table 1), for data of standard deviation `sigma_data`.
EDM_MEAN, EDM_STD = -1.2, 1.2
EDM_LOW, EDM_HIGH = 0.002, 80.0
RHO = 7.0  # of Karras' spacing


# Betas of a discrete chain between two, by the names that diffusers has for them.
BETAS: dict[str, Callable[..., Array]] = {
    "linear": lambda start, end, num: np.linspace(start, end, num),
    "scaled_linear": lambda start, end, num: np.linspace(start**0.5, end**0.5, num) ** 2,
    "sigmoid": lambda start, end, num: start + (end - start) / (1.0 + np.exp(-np.linspace(-6.0, 6.0, num))),
}


def betas_of(schedule: Config, num_steps: int) -> Array:
    """Betas `[num_steps]`, float64, of `{"class": name, "beta_start": b, "beta_end": c}` or `{"betas": [...]}`.

    Raises `InputError`: the dictionary is neither, or betas are not between 0 and 1.
    """
    name, keys = schedule.get("class"), set(schedule)
    if keys == {"betas"} and isinstance(schedule["betas"], (list, tuple)):
        given = schedule["betas"]
    elif keys == {"class", "beta_start", "beta_end"} and name in BETAS:
        given = [schedule["beta_start"], schedule["beta_end"]]
    else:
        told = f"'class', one of {sorted(BETAS)}, with 'beta_start' and 'beta_end', or 'betas', a list"
        raise InputError(f"schedule is a dictionary of {sorted(keys, key=str)}; expected {told}.")
    numbers = [x for x in given if isinstance(x, (int, float)) and 0.0 < x < 1.0]
    if len(numbers) != len(given) or len(given) != (num_steps if name is None else 2):
        told = f"{num_steps} of them" if name is None else "a first and a last one"
        raise InputError(f"schedule has {len(numbers)} betas between 0 and 1; expected {told}.")
    return np.array(given, np.float64) if name is None else BETAS[name](*given, num_steps)


def discrete(schedule: str | Config, num_steps: int) -> Array:
    """log alpha^2 `[num_steps]`, float64, of the discrete chain: betas 1e-4 to 0.02 for "linear" at 1000 steps.

    A dictionary gives the betas (`betas_of`). Other schedules take alpha^2 at the ends of the steps, with betas of at
    most 0.999 (Nichol and Dhariwal 2021).
    """
    if isinstance(schedule, dict):
        betas = betas_of(schedule, num_steps)
    elif schedule == "linear":
        betas = np.linspace(0.1, 20.0, num_steps) / num_steps
    else:
        ends = np.exp(SCHEDULES[schedule](np, np.linspace(0.0, 1.0, num_steps + 1)))
        betas = 1.0 - ends[1:] / ends[:-1]
    return np.cumsum(np.log1p(-np.minimum(betas, 0.999)))


def to_zero_terminal_snr(log_squares: Array) -> Array:
    """log alpha^2, alpha shifted and scaled so that the last is 0 and the first stays (Lin et al. 2024, alg. 1)."""
    alpha = np.exp(0.5 * log_squares)
    alpha = (alpha - alpha[-1]) * alpha[0] / (alpha[0] - alpha[-1])
    with np.errstate(divide="ignore"):
        return 2.0 * np.log(alpha)


def alpha_sigma(xp: Any, log_square: Tensor) -> tuple[Tensor, Tensor]:
    """alpha and sigma from log alpha^2."""
    return xp.exp(0.5 * log_square), xp.sqrt(-xp.expm1(log_square))
