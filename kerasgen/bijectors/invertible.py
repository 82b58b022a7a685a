"""`Invertible`: bijectors one after another; `MultiScale`: levels between which half of the channels leave."""

import math

import keras
from keras import ops

from kerasgen.bijectors.base import Bijector, repeated


@keras.saving.register_keras_serializable("kerasgen")
class Invertible(Bijector):
    """A chain of bijectors, the first one next to the data; log-determinants add up.

    With `remat`, training keeps only what passes between the bijectors and computes the rest of each anew for the
    gradients (`keras.remat`): about a third slower, and memory that grows with the widest of them, not their sum.
    """

    def __init__(self, bijectors, remat=False, name="invertible"):
        super().__init__(bijectors[0].shape, name=name)
        self.bijectors = list(bijectors)
        self.remat = remat
        self.latent_shape = self.bijectors[-1].latent_shape

    @property
    def initialized(self):
        return all(bijector.initialized for bijector in self.bijectors)

    def initialize(self, x, condition=None):
        for bijector in self.bijectors:
            x = bijector.initialize(x, condition)
        return x

    def forward_and_log_det(self, x, condition=None, training=False):
        log_det = repeated(0.0, x)
        for bijector in self.bijectors:

            def forward(x, bijector=bijector):
                return bijector.forward_and_log_det(x, condition, training)

            x, term = keras.remat(forward)(x) if self.remat and training else forward(x)
            log_det = log_det + term
        return x, log_det

    def inverse_and_log_det(self, z, condition=None, training=False):
        log_det = repeated(0.0, z)
        for bijector in reversed(self.bijectors):
            z, term = bijector.inverse_and_log_det(z, condition, training)
            log_det = log_det + term
        return z, log_det


@keras.saving.register_keras_serializable("kerasgen")
class MultiScale(Bijector):
    """Levels with a `Split` after each but the last (Dinh et al. 2017, "Real NVP", section 3.6).

    z is flat, `[B, D]`: the last level's first, then what left the flow, the coarsest first.
    """

    def __init__(self, levels, splits, name="multi_scale"):
        super().__init__(levels[0].shape, name=name)
        self.levels = list(levels)
        self.splits = list(splits)
        self.latent_shape = (math.prod(self.shape),)

    @property
    def initialized(self):
        return all(level.initialized for level in self.levels)

    def initialize(self, x, condition=None):
        latents = []
        for level, split in zip(self.levels, [*self.splits, None], strict=True):
            x = level.initialize(x, condition)
            if split is not None:
                x, z = split.initialize(x, condition)
                latents.append(z)
        return self._flat([*latents, x])

    def _flat(self, latents):
        """Latents, the finest first, to `[B, D]`."""
        return ops.concatenate([ops.reshape(z, (-1, math.prod(z.shape[1:]))) for z in reversed(latents)], axis=-1)

    def forward_and_log_det(self, x, condition=None, training=False):
        latents, log_det = [], 0.0
        for level, split in zip(self.levels, [*self.splits, None], strict=True):
            x, term = level.forward_and_log_det(x, condition, training)
            log_det = log_det + term
            if split is not None:
                (x, z), term = split.forward_and_log_det(x, condition, training)
                latents.append(z)
                log_det = log_det + term
        return self._flat([*latents, x]), log_det

    def inverse_and_log_det(self, z, condition=None, training=False):
        *finer, coarsest = self.levels
        start = math.prod(coarsest.latent_shape)
        x = ops.reshape(z[:, :start], (-1, *coarsest.latent_shape))
        x, log_det = coarsest.inverse_and_log_det(x, condition, training)
        for level, split in zip(reversed(finer), reversed(self.splits), strict=True):
            shape = split.latent_shape[1]
            stop = start + math.prod(shape)
            x, term = split.inverse_and_log_det((x, ops.reshape(z[:, start:stop], (-1, *shape))), condition, training)
            log_det = log_det + term
            x, term = level.inverse_and_log_det(x, condition, training)
            log_det = log_det + term
            start = stop
        return x, log_det
