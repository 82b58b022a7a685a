"""Likelihoods of denoisers: the variational bound of a discrete chain, and the probability-flow ODE."""

import math

import numpy as np
from keras import ops

from kerasgen import backend, inputs, noise
from kerasgen.autoencoders.distributions import discretized_logistic
from kerasgen.base import LikelihoodModel, rows, sum_of_each
from kerasgen.errors import InputError
from kerasgen.typing import Any, ArrayLike, Config, Labels, Seed, Tensor, Verbose

LOWEST_LOG_SNR = -14.0  # the bound's levels are evenly spread over log SNR from here on; below, little is left to learn
RUNGE_KUTTA = 4  # evaluations a step
NODES = (1e-3, 1e3)  # s = sigma / alpha from which and to which the ODE is solved, where the network knows them


def variational_bound(model: Any, pixels: Tensor, condition: Any, key: Tensor, num: int) -> Tensor:
    """A bound on log P(pixels) in nats `[B]`, in expectation over the noise, from `num` + 1 levels.

    With SNR_k = alpha_k^2 / sigma_k^2 and k = 0 next to data (Kingma et al. 2021, equations 11 to 13),

        -log P <= KL(q(x_T | x_0) | N(0, I)) - E log P(pixels | x_0th level)
                  + sum_k 1/2 (SNR_{k-1} - SNR_k) E |x_0 - x_0(x_k)|^2,

    with the "small" variances of Ho et al. 2020. The sum is estimated: one k is drawn from each of `num` intervals of
    equal length in log SNR, and its term is divided by the probability of k. P of a pixel integrates a logistic
    distribution over the pixel's bin; its mean is the estimate at k = 0, its standard deviation that of the level.
    Vectors have a normal density instead.

    Args:
        pixels: in k / 255, `[B, H, W, C]`; or vectors `[B, D]`.
        key: int32 `[B, 2]`.
    """
    times, alpha, sigma = model.table()
    x0 = model.to_x0(pixels)
    with np.errstate(divide="ignore"):
        log_snr = np.maximum(2.0 * (np.log(alpha) - np.log(sigma)), LOWEST_LOG_SNR)
    steps = np.maximum(log_snr[:-1] - log_snr[1:], 1e-6)  # [T - 1]
    probability = steps / steps.sum()
    weight = 0.5 * ((alpha[:-1] / sigma[:-1]) ** 2 - (alpha[1:] / sigma[1:]) ** 2) / (num * probability)
    ends = ops.convert_to_tensor(np.cumsum(probability)[:-1], "float32")
    tables = [ops.convert_to_tensor(t, "float32") for t in (alpha, sigma, times, np.append(0.0, weight))]

    def estimate(k, step):
        """x_0 of each image from its level k `[B]`."""
        a, s, time = (ops.take(t, k) for t in tables[:3])
        a, s = model.expand(a), model.expand(s)
        x = a * x0 + s * noise.step_normal(key, step, model.shape)
        return model.predict_x0(x, a, s, time, condition)

    def term(total, index):
        u = 0.5 * (1.0 + ops.erf(noise.step_normal(key, index + num + 1, (1,))[:, 0] / math.sqrt(2.0)))
        u = (ops.cast(index, "float32") + u) / num
        k = 1 + ops.sum(ops.cast(u[:, None] > ends[None], "int32"), axis=1)  # [B]
        error = sum_of_each(ops.square(x0 - estimate(k, index + 1)))
        return total + ops.take(tables[3], k) * error, None

    zeros = ops.zeros((ops.shape(x0)[0],), "float32")
    diffusion, _ = ops.scan(term, zeros, ops.arange(num, dtype="int32"), length=num)
    a, s = float(alpha[-1]), float(sigma[-1])
    prior = 0.5 * sum_of_each(a**2 * ops.square(x0) + s**2 - 1.0 - 2.0 * math.log(s))
    std = float(sigma[0] / alpha[0])
    first = estimate(ops.zeros((ops.shape(x0)[0],), "int32"), 0)
    if model.vectors:
        error = ops.square((x0 - first) / std) + 2.0 * math.log(std * model.sigma_data) + math.log(2.0 * math.pi)
        decoded = -0.5 * sum_of_each(error)
    else:
        std = 0.5 * model.sigma_data * std  # of pixels on the scale of [0, 1]
        mean = 0.5 * (model.sigma_data * first + 1.0)
        decoded = discretized_logistic(pixels, mean, math.log(std * math.sqrt(3.0) / math.pi))
    return decoded - prior - diffusion


def ode_log_density(model: Any, x0: Tensor, condition: Any, key: Tensor, steps: int) -> Tensor:
    """An estimate of log p(x_0) in nats `[B]`, by the instantaneous change of variables along the ODE.

    With y = x / alpha, s = sigma / alpha and D(y) the estimate of x_0, the probability-flow ODE (Song et al. 2021b,
    equation 13; Karras et al. 2022, equation 1) and the density along it are

        dy / d log s = y - D(y),   d log p(y) / d log s = -(dims - tr dD/dy),

    and at the end y ~ N(0, 1 + s^2). The trace is v^T dD/dy v with random signs v (Hutchinson 1990). Solved by Runge's
    and Kutta's method of fourth order, in equal steps of log s.
    """
    low, high = np.clip(model.ratio_range, *NODES)
    log_s = np.linspace(math.log(low), math.log(high), 2 * steps + 1)  # ends and middles of steps
    h = 2.0 * (log_s[1] - log_s[0])
    tables = [ops.convert_to_tensor(t, "float32") for t in model.level_at(np.exp(log_s))]
    v = 2.0 * ops.cast(noise.step_normal(key, 0, model.shape) > 0.0, "float32") - 1.0

    def slope(y, node):
        a, s, time = (ops.take(t, node) for t in tables)
        estimate, product = backend.vjp(lambda y: model.predict_x0(a * y, a, s, time, condition, clip=False), y, v)
        return y - estimate, model.num_dims - sum_of_each(product * v)

    def step(carry, index):
        y, fallen = carry
        first, a = slope(y, 2 * index)
        second, b = slope(y + 0.5 * h * first, 2 * index + 1)
        third, c = slope(y + 0.5 * h * second, 2 * index + 1)
        fourth, d = slope(y + h * third, 2 * index + 2)
        y = y + h / 6.0 * (first + 2.0 * second + 2.0 * third + fourth)
        return (y, fallen + h / 6.0 * (a + 2.0 * b + 2.0 * c + d)), None

    carry = (x0, ops.zeros((ops.shape(x0)[0],), "float32"))
    (y, fallen), _ = ops.scan(step, carry, ops.arange(steps, dtype="int32"), length=steps)
    variance = 1.0 + high**2
    log_normal = -0.5 * sum_of_each(ops.square(y) / variance + math.log(2.0 * math.pi * variance))
    return log_normal + fallen


class DenoiserLikelihood(LikelihoodModel):
    """Mixed into `Denoiser`: `log_prob`.

    `likelihood` is "estimate" by the ODE; `DiffusionModel` in discrete time has the "bound".
    """

    likelihood = "estimate"

    @property
    def num_evaluations(self) -> int:
        """How often the network is evaluated for a likelihood, unless told."""
        return 20 if self.likelihood == "bound" else 80

    def likelihood_protocol(self, settings: Any) -> tuple[Config, Config]:
        return {"num_evaluations": settings.num_evaluations or self.num_evaluations}, {}

    def log_prob_step(self, images: Tensor, labels: Tensor | None, key: Tensor, num_evaluations: int) -> Tensor:
        images = self.modality.scale(images)
        condition = self.condition_for(labels, self.low_res(images))
        images = images if self.vectors else ops.round(255.0 * images) / 255.0
        if self.likelihood == "bound":
            return variational_bound(self, images, condition, key, num_evaluations)
        steps = num_evaluations // RUNGE_KUTTA
        if self.vectors:
            log_density = ode_log_density(self, self.to_x0(images), condition, key, steps)
            return log_density - self.num_dims * math.log(self.sigma_data)
        # The density of a random point of each pixel's bin, times the bin's width (Theis et al. 2016, section 3.1).
        u = 0.5 * ops.erf(noise.step_normal(key, 1, self.shape) / math.sqrt(2.0))
        x0 = self.to_x0(images + u / 255.0)
        width = 2.0 / (255.0 * self.sigma_data)
        return ode_log_density(self, x0, condition, key, steps) + self.num_dims * math.log(width)

    def log_prob(
        self,
        x: ArrayLike,
        labels: Labels = None,
        seed: Seed = 0,
        num_evaluations: int | None = None,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> np.ndarray:
        """log P(x) in nats, float32 `[N]`; `likelihood` says whether a "bound" or an "estimate".

        For images P is the probability of their 8-bit pixels, and floats in [0, 1] are taken as the nearest such; the
        "estimate" is of uniform dequantization's bound on it. For vectors P is a density.

        Args:
            x, labels: images `[N, H, W, C]`, and `[N]` or `None`.
            seed: of the noise.
            num_evaluations: of the network, for each image: 20 levels of the bound unless given, or 80 points on the
                ODE, four a step.
        """
        x = self.modality.check(x)
        labels = self.check_labels(labels, len(x))
        num = self.num_evaluations if num_evaluations is None else num_evaluations
        num = inputs.check_integer("num_evaluations", num, 1)
        if self.likelihood == "estimate" and num % RUNGE_KUTTA:
            raise InputError(f"num_evaluations is {num}; the ODE is solved with a multiple of {RUNGE_KUTTA}.")
        seed = noise.check_seed(seed)

        def batch(start, stop):
            return [*rows(x, labels)(start, stop), noise.keys(start, stop, seed, stream=4)]

        return self.run(self.log_prob_step, len(x), batch, batch_size, verbose, num)
