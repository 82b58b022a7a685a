"""What samplers share: the noise levels they step through, and the form of a step."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Levels:
    """N + 1 noise levels from noise to data: x = alpha x_0 + sigma e with e ~ N(0, I). The last has sigma 0.

    `alpha`, `sigma`, `time`: float64 `[N + 1]`; `time` is what the network is told.
    """

    alpha: np.ndarray
    sigma: np.ndarray
    time: np.ndarray

    @property
    def steps(self):
        return len(self.alpha) - 1

    @property
    def half_log_snr(self):
        """λ = log(alpha / sigma) `[N + 1]` (Lu et al. 2022), -inf for pure noise, inf for data."""
        with np.errstate(divide="ignore"):
            return np.log(self.alpha) - np.log(self.sigma)


class Sampler:
    """From x at one noise level to x at the next, with a network's estimates of x_0.

    A sampler gives `coefficients(levels)`, arrays `[N]` that it works out beforehand, and `step`, a sum of tensors
    weighted by them. So one program runs all steps, and any model and schedule will do.
    """

    stochastic = False
    evaluations_per_step = 1

    def coefficients(self, levels):
        """`{name: float64 [N]}`, what each step multiplies with.

        Raises:
            InputError: the levels are not for this sampler.
        """
        raise NotImplementedError

    def start(self, x):
        """What is remembered before the first step: a tuple of tensors like `x`."""
        return ()

    def step(self, denoise, x, c, memory, noise):
        """One step.

        Args:
            denoise: from x to the estimate of x_0, at this step's level; with `next=True` at the next one.
            x: at this step's level.
            c: this step's coefficients, scalars.
            memory: as `start` or the step before gave it.
            noise: standard normal and like `x`, for stochastic samplers, or `None`.

        Returns:
            x at the next level, and what to remember.
        """
        raise NotImplementedError

    def get_config(self):
        return {}
