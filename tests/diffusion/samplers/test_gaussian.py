"""Gaussian data, for which the ideal denoiser and the exact solutions are known: each sampler converges at its order.

For x_0 ~ N(m, s^2) the estimate is E[x_0 | x] = m + alpha s^2 / v (x - alpha m) with v = alpha^2 s^2 + sigma^2, the
probability-flow ODE keeps (x - alpha m) / sqrt(v), and the SDE keeps x ~ N(alpha m, v).
"""

import numpy as np
import pytest

from kerasgen.diffusion.samplers import DDIM, DDPM, DPMSolver, Euler, Heun, Levels, UniPC
from kerasgen.errors import InputError

MEAN, STD = 0.3, 0.6


def levels(steps, to_data=False):
    """Even in λ from -3 to 3; then, if asked, data."""
    half_log_snr = np.linspace(-3.0, 3.0, steps + 1)
    alpha, sigma = 1 / np.sqrt(1 + np.exp(-2 * half_log_snr)), 1 / np.sqrt(1 + np.exp(2 * half_log_snr))
    if to_data:
        alpha, sigma = np.append(alpha, 1.0), np.append(sigma, 0.0)
    return Levels(alpha, sigma, half_log_snr)


def solve(sampler, levels, x, mean, noises=None):
    c, memory = sampler.coefficients(levels), sampler.start(x)
    for i in range(levels.steps):

        def denoise(x, next=False, i=i):
            alpha, sigma = levels.alpha[i + next], levels.sigma[i + next]
            return mean + alpha * STD**2 / (alpha**2 * STD**2 + sigma**2) * (x - alpha * mean)

        noise = np.zeros_like(x) if noises is None else noises[i]
        x, memory = sampler.step(denoise, x, {k: v[i] for k, v in c.items()}, memory, noise)
    return x


def variance(levels, at):
    return levels.alpha[at] ** 2 * STD**2 + levels.sigma[at] ** 2


def slope(steps, errors):
    return -np.polyfit(np.log(steps), np.log(errors), 1)[0]


@pytest.mark.parametrize(("sampler", "order"), [(DDIM(), 1), (Euler(), 1), (Heun(), 2), (DPMSolver(), 2), (UniPC(), 2)])
def test_order_of_ode_samplers(sampler, order):
    steps, errors = (20, 40, 80, 160), []
    for n in steps:
        at = levels(n)
        z = np.array([-1.5, 0.0, 0.7, 2.0])
        start = at.alpha[0] * MEAN + np.sqrt(variance(at, 0)) * z
        exact = at.alpha[-1] * MEAN + np.sqrt(variance(at, -1)) * z
        errors.append(np.abs(solve(sampler, at, start, MEAN) - exact).max())
    assert slope(steps, errors) > order - 0.15
    assert errors[-1] < 0.02


@pytest.mark.parametrize("sampler", [DDPM(), DDPM("large"), DDIM(1.0), DDIM(0.5), DPMSolver(sde=True)])
def test_moments_of_sde_samplers(sampler):
    """All is linear, so the variance is the sum of squares of what each draw alone leads to."""
    steps, errors = (20, 40, 80, 160), []
    for n in steps:
        at = levels(n)
        x = np.zeros(n + 1)
        x[0] = np.sqrt(variance(at, 0))
        impulses = np.eye(n + 1)[1:]
        responses = solve(sampler, at, x, 0.0, impulses)
        errors.append(abs(np.square(responses).sum() - variance(at, -1)))
    assert slope(steps, errors) > 0.85
    assert errors[-1] < 0.02
    # Nothing is drawn in a last step that ends at data.
    at = levels(20, to_data=True)
    assert sampler.coefficients(at)["noise"][-1] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("sampler", [DDIM(), DDPM(), DPMSolver(), UniPC()])
def test_starts_from_pure_noise(sampler):
    """Zero terminal SNR, where Euler and Heun have an infinite first step."""
    at = levels(50, to_data=True)
    at = Levels(np.append(0.0, at.alpha), np.append(1.0, at.sigma), np.append(0.0, at.time))
    with np.errstate(all="raise", under="ignore"):
        found = solve(sampler, at, np.array([-1.0, 0.0, 1.0]), MEAN)
    assert np.isfinite(found).all()
    assert found[1] == pytest.approx(MEAN, abs=0.02)
    for other in (Euler(), Heun()):
        with pytest.raises(InputError, match="pure noise"):
            other.coefficients(at)
