"""Heun's method for the probability-flow ODE (Karras et al. 2022, algorithm 1 without churn)."""

import numpy as np

from kerasgen.diffusion.samplers.base import Coefficients, Denoise, Levels, Memory, Step, Tensor
from kerasgen.diffusion.samplers.euler import Euler


class Heun(Euler):
    """The mean of the slopes at both ends of a step, in y = x / alpha and s = sigma / alpha; the last one is Euler's.

    Two evaluations a step: s never reaches 0 at the second, as the last step has one.
    """

    def coefficients(self, levels: Levels) -> Coefficients:
        alpha, s = levels.alpha, levels.noise_to_signal(type(self).__name__)
        euler = super().coefficients(levels)
        # y + ds/2 ((y - x0) / s + (y' - x0') / s'), where y' is Euler's and x0' the estimate there.
        last = s[1:] == 0.0
        half = 0.5 * np.diff(s)
        slope = np.where(last, 0.0, half / np.where(last, 1.0, s[1:]))
        return {
            "euler_x": euler["x"],
            "euler_x0": euler["x0"],
            "x": np.where(last, euler["x"], alpha[1:] / alpha[:-1] * (1.0 + half / s[:-1])),
            "x0": np.where(last, euler["x0"], -alpha[1:] * half / s[:-1]),
            "next_x": slope,
            "next_x0": -alpha[1:] * slope,
        }

    def step(self, denoise: Denoise, x: Tensor, c: Coefficients, memory: Memory, noise: Tensor) -> Step:
        x0 = denoise(x)
        ahead = c["euler_x"] * x + c["euler_x0"] * x0
        ahead_x0 = denoise(ahead, next=True)
        return c["x"] * x + c["x0"] * x0 + c["next_x"] * ahead + c["next_x0"] * ahead_x0, memory
