"""Diffusion models: DDPM (Ho et al. 2020) and after."""

import math

import numpy as np
from keras import ops

from kerasgen import inputs
from kerasgen.base import mean_of_each, register_family
from kerasgen.diffusion import schedules
from kerasgen.diffusion.denoiser import Condition, Denoiser
from kerasgen.diffusion.samplers import Levels, spacings
from kerasgen.errors import InputError
from kerasgen.typing import Any, Config, Sequence, Shape, Tensor

PREDICTIONS = ("epsilon", "x0", "v")
LOSSES = ("simple", "min_snr", "edm")


@register_family
class DiffusionModel(Denoiser):
    """Learns to undo x_t = alpha_t x_0 + sigma_t e, alpha_t^2 + sigma_t^2 = 1, at a random time t.

    The loss is w(t) |F(x_t, t) - target|^2, a mean over pixels, where the target is e, x_0 or v = alpha e - sigma x_0
    (Salimans and Ho 2022, appendix D).

    Args:
        shape, num_classes, network, label_dropout, self_conditioning, super_resolution, attributes, seed: see
            `Denoiser`.
        schedule: "linear", "cosine" or "sigmoid" (see schedules.py), or "edm": log(sigma / alpha) is normal in
            training, and samplers go from 80 to 0.002 as Karras et al. 2022 do. With "v", the loss "edm" and
            sigma_data 0.5 that is EDM: x_t is its scaled input c_in x, and F its F. For discrete time also a
            dictionary with the betas (`schedules.betas_of`).
        num_steps: levels of the discrete chain, or `None` for continuous time.
        zero_terminal_snr: whether the last level is pure noise (Lin et al. 2024); for discrete time, not "epsilon".
        prediction: what the network gives: "epsilon", "x0" or "v".
        loss: w in terms of the squared error of x_0: "simple" is that of the prediction itself (SNR, 1 or SNR + 1),
            "min_snr" min(SNR, gamma) (Hang et al. 2023), "edm" SNR + 1.
        min_snr_gamma: of "min_snr".
        sigma_data: see `Denoiser`.
    """

    def __init__(
        self,
        shape: Shape = (28, 28, 1),
        num_classes: int | None = None,
        network: Any = None,
        schedule: str | Config = "cosine",
        num_steps: int | None = 1000,
        zero_terminal_snr: bool = False,
        prediction: str = "v",
        loss: str = "simple",
        min_snr_gamma: float = 5.0,
        label_dropout: float = 0.1,
        self_conditioning: bool = False,
        super_resolution: int | None = None,
        sigma_data: float = 1.0,
        attributes: Sequence[str] | None = None,
        num_given: int = 0,
        seed: int = 0,
        **kwargs: Any,
    ):
        shared = (label_dropout, self_conditioning, super_resolution, sigma_data, attributes, num_given, seed)
        super().__init__(shape, num_classes, network, *shared, **kwargs)
        if not isinstance(schedule, dict):
            inputs.check_choice("schedule", schedule, (*schedules.SCHEDULES, "edm"))
        elif num_steps is None:
            raise InputError("schedule gives betas, which are of discrete time: give num_steps.")
        self.schedule = dict(schedule) if isinstance(schedule, dict) else schedule
        self.prediction = inputs.check_choice("prediction", prediction, PREDICTIONS)
        self.loss_weighting = inputs.check_choice("loss", loss, LOSSES)
        self.keep(loss=loss)
        self.num_steps = None if num_steps is None else inputs.check_integer("num_steps", num_steps, 2)
        if schedule == "edm" and self.num_steps is not None:
            raise InputError("the schedule 'edm' is of continuous time: give num_steps=None.")
        self.zero_terminal_snr = bool(zero_terminal_snr)
        if self.zero_terminal_snr and (prediction == "epsilon" or self.num_steps is None):
            raise InputError("zero_terminal_snr needs discrete time and a prediction of v or x0: e says nothing there.")
        self.min_snr_gamma = inputs.check_number("min_snr_gamma", min_snr_gamma, 0.0)
        self._log_squares = None
        if self.num_steps is not None:
            self._log_squares = schedules.discrete(schedule, self.num_steps)
            self.coding_steps = min(self.coding_steps, self.num_steps)
            if self.zero_terminal_snr:
                self._log_squares = schedules.to_zero_terminal_snr(self._log_squares)

    @property
    def likelihood(self) -> str:
        """ "bound" in discrete time, "estimate" in continuous time."""
        return "estimate" if self.num_steps is None else "bound"

    def table(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Times as the network reads them, ascending, with alpha and sigma: float64 `[T]` each."""
        if self._log_squares is not None:
            times = np.arange(self.num_steps) * (1000.0 / self.num_steps)
            return times, *schedules.alpha_sigma(np, self._log_squares)
        if self.schedule == "edm":
            s = np.geomspace(schedules.EDM_LOW, schedules.EDM_HIGH, 1001) / self.sigma_data
            return 250.0 * np.log(s), 1.0 / np.sqrt(1.0 + s * s), s / np.sqrt(1.0 + s * s)
        t = np.linspace(0.0, 1.0, 1001)
        return 1000.0 * t, *schedules.alpha_sigma(np, self._log_square(np, t))

    def _log_square(self, xp, t):
        """log alpha^2 at continuous times in [0, 1]."""
        return xp.clip(schedules.SCHEDULES[self.schedule](xp, t), schedules.LOWEST, schedules.HIGHEST)

    @property
    def ratio_range(self) -> np.ndarray:
        _, alpha, sigma = self.table()
        some = alpha > 0.0
        return (sigma[some] / alpha[some])[[0, -1]]

    def level_at(self, s: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        times, alpha, sigma = self.table()
        some = alpha > 0.0
        time = np.interp(np.log(s), np.log(sigma[some] / alpha[some]), times[some])
        return 1.0 / np.sqrt(1.0 + s * s), s / np.sqrt(1.0 + s * s), time

    def levels(self, steps: int, spacing: str) -> Levels:
        times, alpha, sigma = self.table()
        if spacing == "karras" or self.schedule == "edm":
            low, high = self.ratio_range
            return self.levels_at(spacings.karras(low, high, steps, schedules.RHO))
        if self._log_squares is not None:
            at = spacings.discrete(self.num_steps, steps, spacing)
            return Levels(
                *(np.append(table, last) for table, last in ((alpha[at], 1.0), (sigma[at], 0.0), (times[at], 0.0)))
            )
        t = spacings.continuous(steps, spacing)
        alpha, sigma = schedules.alpha_sigma(np, self._log_square(np, t))
        return Levels(np.append(alpha, 1.0), np.append(sigma, 0.0), np.append(1000.0 * t, 0.0))

    def x0_from_output(self, x: Tensor, output: Tensor, alpha: Any, sigma: Any) -> Tensor:
        if self.prediction == "x0":
            return output
        if self.prediction == "v":
            return alpha * x - sigma * output
        return (x - sigma * output) / ops.maximum(alpha, 1e-6)

    # Training

    def random_times(self, num: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Times as the network reads them, alpha, sigma, `[B]` each, evenly spread over the batch."""
        u = self.stratified(num)
        if self._log_squares is not None:
            at = ops.cast(ops.minimum(ops.floor(u * self.num_steps), self.num_steps - 1), "int32")
            log_square = ops.take(ops.convert_to_tensor(self._log_squares, "float32"), at)
            return ops.cast(at, "float32") * (1000.0 / self.num_steps), *schedules.alpha_sigma(ops, log_square)
        if self.schedule == "edm":
            normal = math.sqrt(2.0) * ops.erfinv(ops.clip(2.0 * u - 1.0, -0.999999, 0.999999))
            log_s = schedules.EDM_MEAN + schedules.EDM_STD * normal - math.log(self.sigma_data)
            return 250.0 * log_s, ops.sqrt(ops.sigmoid(-2.0 * log_s)), ops.sqrt(ops.sigmoid(2.0 * log_s))
        return 1000.0 * u, *schedules.alpha_sigma(ops, self._log_square(ops, u))

    def error_weights(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Weights `[B]` of the squared error of the prediction, for a loss given in terms of x_0."""
        if self.loss_weighting == "simple":
            return ops.ones_like(alpha)
        snr = ops.square(alpha / ops.maximum(sigma, 1e-6))
        wanted = ops.minimum(snr, self.min_snr_gamma) if self.loss_weighting == "min_snr" else snr + 1.0
        own = {"epsilon": snr, "x0": 1.0, "v": snr + 1.0}[self.prediction]  # |prediction error|^2 / |x_0 error|^2
        return wanted / ops.maximum(own, 1e-12)

    def per_example_losses(self, images: Tensor, condition: Condition, training: bool) -> Tensor:
        x0 = self.to_x0(images)
        time, alpha, sigma = self.random_times(ops.shape(images)[0])
        wide_alpha, wide_sigma = self.expand(alpha), self.expand(sigma)
        e = self.normal(ops.shape(images))
        x = wide_alpha * x0 + wide_sigma * e
        last = self.first_estimate(x, wide_alpha, wide_sigma, time, condition) if self.self_conditioning else None
        output = self.network_output(x, time, condition, last, training)
        target = {"epsilon": e, "x0": x0, "v": wide_alpha * e - wide_sigma * x0}[self.prediction]
        return self.error_weights(alpha, sigma) * mean_of_each(ops.square(output - target))
