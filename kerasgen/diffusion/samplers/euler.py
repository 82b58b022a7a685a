"""Euler's method for the probability-flow ODE (Karras et al. 2022, algorithm 1 without churn)."""

from kerasgen.diffusion.samplers.base import Coefficients, Levels, Sampler


class Euler(Sampler):
    """In y = x / alpha and s = sigma / alpha, where dy/ds = (y - x_0) / s."""

    def coefficients(self, levels: Levels) -> Coefficients:
        alpha, s = levels.alpha, levels.noise_to_signal(type(self).__name__)
        ratio = s[1:] / s[:-1]
        return {"x": alpha[1:] / alpha[:-1] * ratio, "x0": alpha[1:] * (1.0 - ratio)}
