"""Ancestral sampling (Ho et al. 2020, algorithm 2)."""

import numpy as np

from kerasgen.diffusion.samplers.base import Coefficients, Levels, Sampler
from kerasgen.errors import InputError


class DDPM(Sampler):
    """x_{i+1} ~ N(posterior mean given x_i and the estimate of x_0, variance).

    Args:
        variance: "small", that of the posterior q(x_{i+1} | x_i, x_0), or "large", that of q(x_i | x_{i+1}) (section
            3.2). The last step draws none.
    """

    stochastic = True
    settings = ("variance",)

    def __init__(self, variance: str = "small"):
        if variance not in ("small", "large"):
            raise InputError(f"variance is {variance!r}; expected 'small' or 'large'.")
        self.variance = variance

    def coefficients(self, levels: Levels) -> Coefficients:
        alpha, sigma = levels.alpha, levels.sigma
        ratio = alpha[:-1] / alpha[1:]  # of q(x_i | x_{i+1}), whose variance is
        beta = sigma[:-1] ** 2 - ratio**2 * sigma[1:] ** 2
        posterior = beta * sigma[1:] ** 2 / sigma[:-1] ** 2
        variance = posterior if self.variance == "small" else np.where(sigma[1:] > 0.0, beta, 0.0)
        return {  # equation 7
            "x": ratio * sigma[1:] ** 2 / sigma[:-1] ** 2,
            "x0": alpha[1:] * beta / sigma[:-1] ** 2,
            "noise": np.sqrt(np.maximum(variance, 0.0)),
        }
