"""DPM-Solver++ 2M, and its form for the SDE (Lu et al. 2022b, "DPM-Solver++", algorithm 2 and section 5)."""

import numpy as np

from kerasgen.diffusion.samplers.base import Coefficients, Denoise, Levels, Memory, Sampler, Step, Tensor


class DPMSolver(Sampler):
    """The exact solution between two levels for an x_0 that is linear in λ = log(alpha / sigma), through the last two.

    Args:
        sde: solve the SDE, drawing noise at every step but the last, instead of the ODE.
    """

    settings = ("sde",)

    def __init__(self, sde: bool = False):
        self.sde = self.stochastic = bool(sde)

    def coefficients(self, levels: Levels) -> Coefficients:
        alpha, sigma, half_log_snr = levels.alpha, levels.sigma, levels.half_log_snr
        h = np.diff(half_log_snr)  # [N]
        gain = -np.expm1(-2.0 * h if self.sde else -h)  # 1 - e^-h, of x_0
        # x_0 extrapolated: (1 + k) x_0 - k (the one before), with k = h / (2 h before); of first order at both ends.
        k = np.zeros(levels.steps)
        k[1:] = h[1:] / (2.0 * h[:-1])
        k[~np.isfinite(k)] = 0.0
        decay = sigma[1:] / sigma[:-1] * (np.exp(-h) if self.sde else 1.0)
        return {
            "x": decay,
            "x0": alpha[1:] * gain * (1.0 + k),
            "before": -alpha[1:] * gain * k,
            "noise": sigma[1:] * np.sqrt(gain) if self.sde else np.zeros(levels.steps),
        }

    def start(self, x: Tensor) -> Memory:
        return (x,)  # whose coefficient is 0 in the first step

    def step(self, denoise: Denoise, x: Tensor, c: Coefficients, memory: Memory, noise: Tensor) -> Step:
        x0 = denoise(x)
        x = c["x"] * x + c["x0"] * x0 + c["before"] * memory[0]
        return (x + c["noise"] * noise if self.stochastic else x), (x0,)
