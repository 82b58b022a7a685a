"""What samplers share: the noise levels they step through, and the form of a step."""

from dataclasses import dataclass

import numpy as np

from kerasgen.errors import InputError
from kerasgen.typing import Array, Callable, Config, Tensor as Tensor

Coefficients = dict[str, Array]  # float64 `[N]`, by the names that `step` knows them by; given to `step`, scalars
Memory = tuple[Tensor, ...]  # tensors like x that a step leaves for the next one
Step = tuple[Tensor, Memory]
Denoise = Callable[..., Tensor]


@dataclass(frozen=True)
class Levels:
    """N + 1 noise levels from noise to data: x = alpha x_0 + sigma e with e ~ N(0, I). The last has sigma 0.

    `alpha`, `sigma`, `time`: float64 `[N + 1]`; `time` is what the network is told.
    """

    alpha: Array
    sigma: Array
    time: Array

    @property
    def steps(self) -> int:
        return len(self.alpha) - 1

    @property
    def half_log_snr(self) -> Array:
        """λ = log(alpha / sigma) `[N + 1]` (Lu et al. 2022), -inf for pure noise, inf for data."""
        with np.errstate(divide="ignore"):
            return np.log(self.alpha) - np.log(self.sigma)

    def noise_to_signal(self, sampler: str) -> Array:
        """s = sigma / alpha `[N + 1]`: in y = x / alpha the probability-flow ODE is dy/ds = (y - x_0) / s.

        Raises `InputError`: s is infinite at the start.
        """
        if not np.all(self.alpha > 0.0):
            raise InputError(
                f"{sampler} cannot start from pure noise (zero terminal SNR), where x / alpha is infinite; use DDIM or "
                "DDPM."
            )
        return self.sigma / self.alpha


class Sampler:
    """From x at one noise level to x at the next, with a network's estimates of x_0.

    A sampler gives `coefficients(levels)`, arrays `[N]` that are computed beforehand. A `step` is a sum of tensors
    weighted by them: of x, the estimate and noise, unless the sampler has a step of its own. So one program runs all
    steps, and a sampler fits every model and schedule.
    """

    stochastic = False
    settings: tuple[str, ...] = ()  # names of its arguments

    @property
    def structure(self) -> tuple:
        """What a program of this sampler's steps is known by: its settings only where it has a step of its own."""
        config = () if type(self).step is Sampler.step else tuple(sorted(self.get_config().items()))
        return type(self), self.stochastic, config

    def coefficients(self, levels: Levels) -> Coefficients:
        """The factors of all steps. Raises `InputError`: the levels are not for this sampler."""
        raise NotImplementedError

    def start(self, x: Tensor) -> Memory:
        """The memory before the first step."""
        return ()

    def step(self, denoise: Denoise, x: Tensor, c: Coefficients, memory: Memory, noise: Tensor) -> Step:
        """x at the next level, and the memory for the step from there.

        Args:
            denoise: from x to the estimate of x_0, at this step's level; with `next=True` at the next one.
            x: at this step's level.
            c: this step's coefficients.
            memory: from `start` or the step before.
            noise: standard normal and like `x`, for stochastic samplers, or `None`.
        """
        x = c["x"] * x + c["x0"] * denoise(x)
        return (x + c["noise"] * noise if self.stochastic else x), memory

    def get_config(self) -> Config:
        return {name: getattr(self, name) for name in self.settings}
