"""p(x | z) of a VAE's decoder.

Each distribution has `log_prob(x, outputs)`, nats `[B]` of images x `[B, H, W, C]` in [0, 1], given the outputs
`[B, H, W, C num_outputs]` of the decoder, and `mean(outputs)`, images `[B, H, W, C]` in [0, 1]. `levels` is the number
of values that a pixel can take, or `None` for a density over [0, 1].
"""

import math

import keras
from keras import ops

from kerasgen.typing import Any, Tensor


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
        return ops.sum(log_p, axis=(1, 2, 3))  # [B]

    def mean(self, outputs: Tensor) -> Tensor:
        return ops.sigmoid(outputs)


@keras.saving.register_keras_serializable("kerasgen")
class Gaussian(PixelDistribution):
    """N(x; output, s^2), with one learned scale s for all pixels (Rybkin et al. 2021, "sigma-VAE").

    log s is kept in [-6, 3], so that a perfect reconstruction cannot send it to minus infinity.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        start = keras.initializers.Constant(-1.0)
        self.log_scale = self.add_weight(shape=(), initializer=start, name="log_scale")

    def log_prob(self, x: Tensor, outputs: Tensor) -> Tensor:
        log_scale = ops.clip(ops.convert_to_tensor(self.log_scale), -6.0, 3.0)
        z = (x - outputs) * ops.exp(-log_scale)
        return ops.sum(-0.5 * ops.square(z) - log_scale - 0.5 * math.log(2.0 * math.pi), axis=(1, 2, 3))  # [B]

    def mean(self, outputs: Tensor) -> Tensor:
        return ops.clip(outputs, 0.0, 1.0)


def discretized_logistic(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """log P in nats `[B]` of pixels x in k/255, by a logistic distribution integrated over 256 bins.

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
    log_p = log_p + ops.where(inside, ops.log1p(-ops.exp(-2.0 * half * inverse)), 0.0)
    return ops.sum(log_p, axis=(1, 2, 3))  # [B]


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


DISTRIBUTIONS = {"bernoulli": Bernoulli, "gaussian": Gaussian, "discretized_logistic": DiscretizedLogistic}
