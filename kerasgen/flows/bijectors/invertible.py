"""`Invertible`: a chain of bijectors; `MultiScale`: levels, between which half of the channels leave."""

import itertools
import math

import keras
from keras import ops

from kerasgen.flows.bijectors.base import Bijector, ChannelMap, Result, Tensor, apply_affine, repeated
from kerasgen.typing import Sequence


class Invertible(Bijector):
    """A chain of bijectors, the first one next to the data; log-determinants add up.

    Neighbours that are `ChannelMap`s, as ActNorm and the 1x1 convolution of Glow are, pass over the data as one.

    With `remat`, training keeps only what passes between the bijectors and computes the rest of each anew for the
    gradients (`keras.remat`): about a third slower, and memory that grows with the widest of them, not their sum.
    """

    def __init__(self, bijectors: Sequence[Bijector], remat: bool = False, name: str = "invertible"):
        super().__init__(bijectors[0].shape, name=name)
        self.bijectors = list(bijectors)
        self.remat = remat
        self.latent_shape = self.bijectors[-1].latent_shape

    def runs(self) -> list[list[Bijector]]:
        """The bijectors in order, neighbouring `ChannelMap`s together and any other alone."""
        groups = itertools.groupby(self.bijectors, lambda b: isinstance(b, ChannelMap))
        return [run for together, group in groups for run in ([list(group)] if together else [[b] for b in group])]

    @property
    def initialized(self) -> bool:
        return all(bijector.initialized for bijector in self.bijectors)

    def initialize(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        for bijector in self.bijectors:
            x = bijector.initialize(x, condition)
        return x

    def forward_and_log_det(self, x: Tensor, condition: Tensor | None = None, training: bool = False) -> Result:
        log_det = 0.0
        for run in self.runs():

            def forward(x, run=run):
                if len(run) == 1:
                    return run[0].forward_and_log_det(x, condition, training)
                total = sum(bijector.log_det() for bijector in run)
                return apply_affine([bijector.affine() for bijector in run], x), repeated(total, x)

            x, term = keras.remat(forward)(x) if self.remat and training else forward(x)
            log_det = log_det + term
        return x, log_det

    def inverse_and_log_det(self, z: Tensor, condition: Tensor | None = None, training: bool = False) -> Result:
        log_det = 0.0
        for run in reversed(self.runs()):
            if len(run) == 1:
                z, term = run[0].inverse_and_log_det(z, condition, training)
            else:
                z = apply_affine([bijector.inverse_affine() for bijector in reversed(run)], z)
                term = repeated(-sum(bijector.log_det() for bijector in run), z)
            log_det = log_det + term
        return z, log_det


class MultiScale(Bijector):
    """Levels that end in a split, to (kept, z), of which the next level gets `kept`; only the last level has none.

    z is flat, `[B, D]`: the last level's first, then what left the flow, the coarsest first (Dinh et al. 2017,
    "Density estimation using Real NVP", section 3.6).
    """

    def __init__(self, levels: Sequence[Bijector], name: str = "multi_scale"):
        super().__init__(levels[0].shape, name=name)
        self.levels = list(levels)
        self.latent_shape = (math.prod(self.shape),)

    @property
    def initialized(self) -> bool:
        return all(level.initialized for level in self.levels)

    def initialize(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        for level in self.levels[:-1]:
            x, _ = level.initialize(x, condition)
        return self.levels[-1].initialize(x, condition)

    def forward_and_log_det(self, x: Tensor, condition: Tensor | None = None, training: bool = False) -> Result:
        *finer, last = self.levels
        latents, log_det = [], 0.0
        for level in finer:
            (x, z), term = level.forward_and_log_det(x, condition, training)
            latents.append(z)
            log_det = log_det + term
        x, term = last.forward_and_log_det(x, condition, training)
        flat = [ops.reshape(z, (-1, math.prod(z.shape[1:]))) for z in (x, *reversed(latents))]
        return ops.concatenate(flat, axis=-1), log_det + term

    def inverse_and_log_det(self, z: Tensor, condition: Tensor | None = None, training: bool = False) -> Result:
        *finer, last = self.levels
        start, shape = math.prod(last.latent_shape), last.latent_shape
        x, log_det = last.inverse_and_log_det(ops.reshape(z[:, :start], (-1, *shape)), condition, training)
        for level in reversed(finer):
            _, shape = level.latent_shape
            stop = start + math.prod(shape)
            factored = ops.reshape(z[:, start:stop], (-1, *shape))
            x, term = level.inverse_and_log_det((x, factored), condition, training)
            log_det = log_det + term
            start = stop
        return x, log_det
