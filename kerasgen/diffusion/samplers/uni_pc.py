"""UniPC of second order with B(h) = e^h - 1 (Zhao et al. 2023, algorithms 7 and 8: data prediction, multistep)."""

import numpy as np

from kerasgen.diffusion.samplers.base import Coefficients, Denoise, Levels, Memory, Sampler, Step, Tensor


def _phi(h):
    """-h φ_1(-h) = e^-h - 1, and the ratios φ_2(-h) / φ_1(-h) and 2 φ_3(-h) / φ_1(-h), for the step h in λ.

    φ_1(-h) = (1 - e^-h) / h, φ_2(-h) = (1 - φ_1(-h)) / h, φ_3(-h) = (1/2 - φ_2(-h)) / h.
    """
    first = np.expm1(-h)
    second = first / -h - 1.0
    third = second / -h - 0.5
    return first, second / first, 2.0 * third / first


class UniPC(Sampler):
    """Predicts x at the next level from the last two estimates of x_0, and corrects it once that level has its own.

    The correction costs no evaluation: the estimate at the predicted x is used for both.
    """

    def coefficients(self, levels: Levels) -> Coefficients:
        alpha, sigma, half_log_snr = levels.alpha, levels.sigma, levels.half_log_snr
        steps = levels.steps
        names = ("x", "x0", "before", "c_x", "c_x0", "c_last", "c_before")
        c = {name: np.zeros(steps) for name in names}
        for i in range(steps):
            h = half_log_snr[i + 1] - half_log_snr[i]
            ratio, order = sigma[i + 1] / sigma[i], 1 if i == 0 or i == steps - 1 else 2
            first, b1, b2 = _phi(h) if np.isfinite(h) else (-1.0, 0.0, 0.0)
            gain = alpha[i + 1] * first
            # Predictor: x' = ratio x - gain (x_0 + (before - x_0) / (2 r)), r = (λ before - λ) / h.
            r = (half_log_snr[i - 1] - half_log_snr[i]) / h if order == 2 else np.inf
            c["x"][i], c["x0"][i], c["before"][i] = ratio, -gain * (1.0 - 0.5 / r), -gain * 0.5 / r
            if i + 1 == steps:
                break
            # Corrector of the same step, used when the next one starts: weights of the estimate before, and of the new.
            if order == 2:
                old, new = np.linalg.solve([[1.0, 1.0], [r, 1.0]], [b1, b2])
            else:
                old, new = 0.0, 0.5
            c["c_x"][i + 1] = ratio
            c["c_last"][i + 1] = -gain * (1.0 - old / r - new)
            c["c_before"][i + 1] = -gain * old / r
            c["c_x0"][i + 1] = -gain * new
        # The first step has nothing to correct.
        c["correct"] = (np.arange(steps) > 0).astype(np.float64)
        return c

    def start(self, x: Tensor) -> Memory:
        return (x, x, x)  # the x, the estimate and the estimate before it of the last step; unused in the first

    def step(self, denoise: Denoise, x: Tensor, c: Coefficients, memory: Memory, noise: Tensor) -> Step:
        x_last, last, before = memory
        x0 = denoise(x)
        corrected = c["c_x"] * x_last + c["c_x0"] * x0 + c["c_last"] * last + c["c_before"] * before
        x = c["correct"] * corrected + (1.0 - c["correct"]) * x
        return c["x"] * x + c["x0"] * x0 + c["before"] * last, (x, x0, last)
