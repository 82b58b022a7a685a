"""Gradient penalties of a discriminator."""

from collections.abc import Callable

import keras
from keras import ops

from kerasgen import backend, inputs
from kerasgen.gans.losses import Configured
from kerasgen.typing import Config, Tensor


class Penalty(Configured):
    """A cost of the discriminator's gradient in its input, added every `interval` steps with `interval` the weight.

    Args:
        weight: of the penalty.
        interval: steps from one to the next (lazy regularization, Karras et al. 2020, appendix B).
    """

    def __init__(self, weight: float, interval: int = 1):
        self.weight = inputs.check_number("weight", weight, 0.0)
        self.interval = inputs.check_integer("interval", interval, 1)

    def losses(self, critic: Callable, real: Tensor, fake: Tensor, uniform: Tensor) -> Tensor:
        """`[B]`, before it is weighted.

        Args:
            critic: a function from inputs to logits `[B]`.
            real, fake: what it reads, of the same shape.
            uniform: random numbers in [0, 1] `[B, 1, ...]`.
        """
        raise NotImplementedError

    def get_config(self) -> Config:
        return {"weight": self.weight, "interval": self.interval}


def squared_norms(critic: Callable, x: Tensor) -> Tensor:
    """|gradient of the critic|^2 at each x: `[B]`, differentiable. Logits depend on their own image alone."""
    gradients = backend.gradient(lambda x: ops.sum(critic(x)), x)
    return ops.sum(ops.square(gradients), axis=tuple(range(1, len(x.shape))))


@keras.saving.register_keras_serializable("kerasgen")
class GradientPenalty(Penalty):
    """(|gradient| - 1)^2 uniformly between real and fake (Gulrajani et al. 2017, "WGAN-GP", algorithm 1)."""

    def __init__(self, weight: float = 10.0, interval: int = 1):
        super().__init__(weight, interval)

    def losses(self, critic: Callable, real: Tensor, fake: Tensor, uniform: Tensor) -> Tensor:
        between = uniform * real + (1.0 - uniform) * fake
        return ops.square(ops.sqrt(squared_norms(critic, between) + 1e-12) - 1.0)


@keras.saving.register_keras_serializable("kerasgen")
class R1(Penalty):
    """|gradient|^2 / 2 at real data (Mescheder et al. 2018, equation 9); `weight` is gamma."""

    def __init__(self, weight: float = 1.0, interval: int = 1):
        super().__init__(weight, interval)

    def losses(self, critic: Callable, real: Tensor, fake: Tensor, uniform: Tensor) -> Tensor:
        return 0.5 * squared_norms(critic, real)


PENALTIES = {"gradient_penalty": GradientPenalty, "r1": R1}
