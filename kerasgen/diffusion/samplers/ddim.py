"""Denoising diffusion implicit models (Song et al. 2021, equation 12)."""

import numpy as np

from kerasgen import inputs
from kerasgen.diffusion.samplers.base import Coefficients, Levels, Sampler


class DDIM(Sampler):
    """x_{i+1} = alpha x_0 + sqrt(sigma^2 - s^2) e + s noise, with the estimates of x_0 and of e at x_i.

    Args:
        eta: share of the noise that ancestral sampling draws: 0 is deterministic, 1 is DDPM with small variance.
    """

    settings = ("eta",)

    def __init__(self, eta: float = 0.0):
        self.eta = inputs.check_number("eta", eta, 0.0)
        self.stochastic = self.eta > 0.0

    def coefficients(self, levels: Levels) -> Coefficients:
        alpha, sigma = levels.alpha, levels.sigma
        noise = np.zeros(levels.steps)
        if self.stochastic:
            beta = sigma[:-1] ** 2 - (alpha[:-1] / alpha[1:]) ** 2 * sigma[1:] ** 2
            noise = np.minimum(self.eta * sigma[1:] / sigma[:-1] * np.sqrt(np.maximum(beta, 0.0)), sigma[1:])
        along = np.sqrt(sigma[1:] ** 2 - noise**2) / sigma[:-1]  # e = (x_i - alpha_i x_0) / sigma_i
        return {"x": along, "x0": alpha[1:] - along * alpha[:-1], "noise": noise}
