"""A family of one file, as small as one can be: every pixel is drawn on its own, from a learned histogram."""

import math

import keras
import numpy as np
from keras import ops

from kerasgen import GenerativeModel, inputs, noise, register_family
from kerasgen.base.program import rows


@register_family
class PixelHistogram(GenerativeModel):
    """p(x) is the product over pixels of softmax(scores)[k], k the upper `num_bits` bits of the pixel.

    Args:
        shape: `(height, width, channels)`.
        num_bits: of a pixel, 1 to 8.
        seed: as for every model; nothing is drawn in training.
    """

    likelihood = "exact"

    def __init__(self, shape, num_bits=3, seed=0, **kwargs):
        super().__init__(shape, None, seed, **kwargs)
        self.num_bits = inputs.check_choice("num_bits", num_bits, range(1, 9))
        self.num_levels = 2**self.num_bits
        shape = (*self.shape, self.num_levels)
        self.scores = self.add_weight(shape=shape, initializer="zeros", name="scores", dtype="float32")

    def default_optimizer(self):
        return keras.optimizers.Adam(0.05)

    def log_prob_step(self, x):
        """log p in nats `[B]`, of uint8 or float images."""
        k = ops.floor(ops.round(255.0 * self.modality.scale(x)) / 2.0 ** (8 - self.num_bits))  # [B, H, W, C]
        log_p = ops.log_softmax(self.scores) * ops.one_hot(ops.cast(k, "int32"), self.num_levels, dtype="float32")
        return ops.sum(log_p, axis=(1, 2, 3, 4))

    def losses(self, x, one_hot, training):
        """Bits per dimension `[B]`, and the logs."""
        bits = -self.log_prob_step(x) / (self.num_dims * math.log(2.0))
        return bits, {"loss": bits}

    def sample_step(self, u, temperature):
        """Images in [0, 1] by the inverse of the distribution function, of uniform numbers like them."""
        scores = ops.log_softmax(self.scores) / ops.maximum(temperature[:, None, None, None, None], 1e-3)
        below = ops.cumsum(ops.softmax(scores), axis=-1)[..., :-1] < u[..., None]  # [B, H, W, C, levels - 1]
        return ops.sum(ops.cast(below, "float32"), axis=-1) / (self.num_levels - 1.0)

    @inputs.names_settings
    def sample(self, num_samples, labels=None, seed=None, temperature=1.0, batch_size=64, verbose="auto"):
        """Images `[num_samples, H, W, C]`; `temperature` flattens (above 1) or sharpens the histograms."""
        num_samples = inputs.check_integer("num_samples", num_samples, 1)
        temperature = inputs.check_number("temperature", temperature, 0.0)
        self.sample_labels(labels, num_samples)
        seed = noise.check_seed(seed)

        def batch(start, stop):
            u = noise.uniform(start, stop, self.shape, seed).astype(np.float32)
            return [u, np.full(stop - start, temperature, np.float32)]

        return self.run(self.sample_step, num_samples, batch, batch_size, verbose)

    def log_prob(self, x, labels=None, seed=0, batch_size=64, verbose="auto"):
        """log p(x) in nats `[N]`, exact, of images cut to `num_bits` bits; no noise, so the seed changes nothing."""
        x = self.modality.check(x)
        self.check_labels(labels, len(x))
        return self.run(self.log_prob_step, len(x), rows(x), batch_size, verbose)

    def bits_per_dim(self, x, labels=None, **settings):
        return -self.log_prob(x, labels, **settings) / (self.num_dims * math.log(2.0))

    def likelihood_protocol(self, settings):
        return {}, {}

    def measures(self):
        return (*super().measures(), "bits_per_dim")
