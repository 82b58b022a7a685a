"""p(x | z) of a VAE's decoder.

Each distribution has `log_prob(x, outputs)`, nats `[B]` of images x `[B, H, W, C]` in [0, 1], given the outputs
`[B, H, W, C num_outputs]` of the decoder, and `mean(outputs)`, images `[B, H, W, C]` in [0, 1]. `levels` is the number
of values that a pixel can take, or `None` for a density over [0, 1].
"""

import math

import keras
import numpy as np
from keras import ops

from kerasgen.autoencoders.fixed_point import (
    BITS,
    FINER,
    TOP,
    differences,
    exponential,
    fixed,
    sigmoid,
    softmax_weights,
)
from kerasgen.base import sum_of_each
from kerasgen.typing import Any, Array, Tensor

PIXEL_EDGES = np.rint((np.arange(1, 256) - 0.5) / 255.0 * 2.0 ** (BITS + FINER))  # between the bins of 8-bit pixels


class PixelDistribution(keras.layers.Layer):
    """A distribution of images whose pixels are independent given z."""

    num_outputs = 1
    levels: int | None = None

    def __init__(self, **kwargs: Any):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.built = True


@keras.saving.register_keras_serializable("kerasgen")
class Bernoulli(PixelDistribution):
    """Pixels are 0 or 1 with p = sigmoid(output).

    A gray value x in [0, 1] stands for a pixel that is 1 with probability x, and its log-probability is the mean over
    that draw, x log p + (1 - x) log(1 - p): that of dynamically binarised images.
    """

    levels = 2

    def log_prob(self, x: Tensor, outputs: Tensor) -> Tensor:
        log_p = x * ops.log_sigmoid(outputs) + (1.0 - x) * ops.log_sigmoid(-outputs)
        return sum_of_each(log_p)  # [B]

    def mean(self, outputs: Tensor) -> Tensor:
        return ops.sigmoid(outputs)


@keras.saving.register_keras_serializable("kerasgen")
class Gaussian(PixelDistribution):
    """N(x; output, s^2), with one learned scale s for all values (Rybkin et al. 2021, "sigma-VAE").

    log s is kept in [-6, 3], so that a perfect reconstruction cannot send it to minus infinity.

    Args:
        bounded: whether means are those of pixels, in [0, 1].
    """

    def __init__(self, bounded: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        self.bounded = bounded
        start = keras.initializers.Constant(-1.0)
        self.log_scale = self.add_weight(shape=(), initializer=start, name="log_scale")

    def log_prob(self, x: Tensor, outputs: Tensor) -> Tensor:
        log_scale = ops.clip(ops.convert_to_tensor(self.log_scale), -6.0, 3.0)
        z = (x - outputs) * ops.exp(-log_scale)
        return sum_of_each(-0.5 * ops.square(z) - log_scale - 0.5 * math.log(2.0 * math.pi))  # [B]

    def mean(self, outputs: Tensor) -> Tensor:
        return ops.clip(outputs, 0.0, 1.0) if self.bounded else outputs


def discretized_logistic(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """log P in nats `[B]` of images x: see `of_pixels`."""
    return sum_of_each(of_pixels(x, mean, log_scale))


def of_pixels(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """log P in nats of each of the pixels x in k/255, by a logistic distribution integrated over 256 bins.

    With s the scale, a and b the bin's upper and lower edge less the mean, over s:
    sigma(a) - sigma(b) = sigma(a) sigma(-b) (1 - exp(b - a)), whose logarithm is stable anywhere. The first bin starts
    at minus infinity and the last one ends at infinity (Kingma et al. 2016, equations 14 and 15).
    """
    inverse = ops.exp(-log_scale)
    half = 0.5 / 255.0
    upper, lower = (x - mean + half) * inverse, (x - mean - half) * inverse
    log_p = ops.where(x > 1.0 - half, 0.0, ops.log_sigmoid(upper))
    log_p = log_p + ops.where(x < half, 0.0, ops.log_sigmoid(-lower))
    inside = ops.logical_and(x >= half, x <= 1.0 - half)
    return log_p + ops.where(inside, ops.log1p(-ops.exp(-2.0 * half * inverse)), 0.0)


def fixed_bins(mean: Array, log_scale: Array) -> Array:
    """Whole numbers in proportion to P of the 256 bins `[..., 256]`, of fixed-point means and log-scales."""
    inverse = exponential(-np.clip(log_scale, -7 * 2**BITS, 3 * 2**BITS))
    distance = PIXEL_EDGES - mean[..., None] * 2.0**FINER
    return differences(sigmoid(np.floor(distance * inverse[..., None] * 2.0 ** -(BITS + FINER))))


@keras.saving.register_keras_serializable("kerasgen")
class DiscretizedLogistic(PixelDistribution):
    """A logistic distribution integrated over the 256 bins of 8-bit pixels: see `discretized_logistic`."""

    num_outputs = 2
    levels = 256

    def _mean_and_log_scale(self, outputs):
        mean, log_scale = ops.split(outputs, 2, axis=-1)
        return 0.5 + mean, ops.clip(log_scale - 2.0, -7.0, 3.0)

    def log_prob(self, x: Tensor, outputs: Tensor) -> Tensor:
        return discretized_logistic(x, *self._mean_and_log_scale(outputs))

    def mean(self, outputs: Tensor) -> Tensor:
        return ops.clip(self._mean_and_log_scale(outputs)[0], 0.0, 1.0)

    def fixed_weights(self, outputs: Array) -> Array:
        """Whole numbers in proportion to P of each value, `[N, H, W, C, 256]`, of fixed-point outputs."""
        mean, log_scale = np.split(outputs, 2, axis=-1)
        return fixed_bins(mean + 0.5 * 2**BITS, log_scale - 2 * 2**BITS)


@keras.saving.register_keras_serializable("kerasgen")
class DiscretizedLogisticMixture(PixelDistribution):
    """A mixture of three such distributions for each value (Salimans et al. 2017, section 2.1, channels apart).

    Their means start at 0.1, 0.5 and 0.9. The outputs of a value are three logits, three means, three log-scales.
    """

    num_outputs = 9
    levels = 256
    starts = (0.1, 0.5, 0.9)

    def _parts(self, outputs):
        """log-weights, means and log-scales, `[B, H, W, C, 3]` each."""
        shape = (*ops.shape(outputs)[:-1], outputs.shape[-1] // self.num_outputs, 3)
        logits, means, log_scales = (ops.reshape(part, shape) for part in ops.split(outputs, 3, axis=-1))
        means = means + ops.convert_to_tensor(self.starts, "float32")
        return ops.log_softmax(logits), means, ops.clip(log_scales - 2.0, -7.0, 3.0)

    def log_prob(self, x: Tensor, outputs: Tensor) -> Tensor:
        log_weights, means, log_scales = self._parts(outputs)
        return sum_of_each(ops.logsumexp(log_weights + of_pixels(x[..., None], means, log_scales), axis=-1))

    def mean(self, outputs: Tensor) -> Tensor:
        log_weights, means, _ = self._parts(outputs)
        return ops.sum(ops.exp(log_weights) * ops.clip(means, 0.0, 1.0), axis=-1)

    def fixed_weights(self, outputs: Array) -> Array:
        shape = (*outputs.shape[:-1], outputs.shape[-1] // self.num_outputs, 3)
        logits, means, log_scales = (part.reshape(shape) for part in np.split(outputs, 3, axis=-1))
        weights = softmax_weights(logits.reshape(-1, 3)).reshape(shape)
        shares = np.floor(weights * TOP / weights.sum(axis=-1, keepdims=True))
        bins = fixed_bins(means + fixed(self.starts), log_scales - 2 * 2**BITS)  # [N, H, W, C, 3, 256]
        return np.floor((shares[..., None] * bins).sum(axis=-2) / TOP) + 1.0


DISTRIBUTIONS = {
    "bernoulli": Bernoulli,
    "gaussian": Gaussian,
    "discretized_logistic": DiscretizedLogistic,
    "discretized_logistic_mixture": DiscretizedLogisticMixture,
}
