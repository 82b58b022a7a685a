"""Losses and gradient penalties of the game between a generator and a discriminator, each a pair of lines."""

import keras
from keras import ops

from kerasgen import backend, inputs
from kerasgen.errors import InputError


class Configured:
    """An object made of its config."""

    @classmethod
    def from_config(cls, config):
        return cls(**config)


class GameLoss(Configured):
    """What each player minimises, given the discriminator's logits `[B]`; results are `[B]`."""

    def discriminator(self, real, fake):
        raise NotImplementedError

    def generator(self, fake):
        raise NotImplementedError

    def get_config(self):
        return {}


@keras.saving.register_keras_serializable("kerasgen")
class NonSaturating(GameLoss):
    """-log D(x) - log(1 - D(G(z))) against -log D(G(z)), D = sigmoid(logit) (Goodfellow et al. 2014, section 3)."""

    def discriminator(self, real, fake):
        return ops.softplus(-real) + ops.softplus(fake)

    def generator(self, fake):
        return ops.softplus(-fake)


@keras.saving.register_keras_serializable("kerasgen")
class LeastSquares(GameLoss):
    """Targets 1 for real and 0 for fake (Mao et al. 2017, equation 9)."""

    def discriminator(self, real, fake):
        return 0.5 * (ops.square(real - 1.0) + ops.square(fake))

    def generator(self, fake):
        return 0.5 * ops.square(fake - 1.0)


@keras.saving.register_keras_serializable("kerasgen")
class Hinge(GameLoss):
    """Margins of 1 (Lim and Ye 2017; Miyato et al. 2018, equations 16 and 17)."""

    def discriminator(self, real, fake):
        return ops.relu(1.0 - real) + ops.relu(1.0 + fake)

    def generator(self, fake):
        return -fake


@keras.saving.register_keras_serializable("kerasgen")
class Wasserstein(GameLoss):
    """The difference of means; the greatest over 1-Lipschitz critics is the distance (Arjovsky et al. 2017)."""

    def discriminator(self, real, fake):
        return fake - real

    def generator(self, fake):
        return -fake


class Penalty(Configured):
    """A cost of the discriminator's gradient in its input, added every `interval` steps with `interval` the weight.

    Args:
        weight: of the penalty.
        interval: steps from one to the next (lazy regularization, Karras et al. 2020, appendix B).
    """

    def __init__(self, weight, interval=1):
        self.weight = inputs.check_number("weight", weight, 0.0)
        self.interval = inputs.check_integer("interval", interval, 1)

    def losses(self, critic, real, fake, uniform):
        """`[B]`, before it is weighted.

        Args:
            critic: a function from inputs to logits `[B]`.
            real, fake: what it reads, of the same shape.
            uniform: random numbers in [0, 1] `[B, 1, ...]`.
        """
        raise NotImplementedError

    def get_config(self):
        return {"weight": self.weight, "interval": self.interval}


def squared_norms(critic, x):
    """|gradient of the critic|^2 at each x: `[B]`, differentiable. Logits depend on their own image alone."""
    gradients = backend.gradient(lambda x: ops.sum(critic(x)), x)
    return ops.sum(ops.square(gradients), axis=tuple(range(1, len(x.shape))))


@keras.saving.register_keras_serializable("kerasgen")
class GradientPenalty(Penalty):
    """(|gradient| - 1)^2 uniformly between real and fake (Gulrajani et al. 2017, "WGAN-GP", algorithm 1)."""

    def __init__(self, weight=10.0, interval=1):
        super().__init__(weight, interval)

    def losses(self, critic, real, fake, uniform):
        between = uniform * real + (1.0 - uniform) * fake
        return ops.square(ops.sqrt(squared_norms(critic, between) + 1e-12) - 1.0)


@keras.saving.register_keras_serializable("kerasgen")
class R1(Penalty):
    """|gradient|^2 / 2 at real data (Mescheder et al. 2018, equation 9); `weight` is gamma."""

    def __init__(self, weight=1.0, interval=1):
        super().__init__(weight, interval)

    def losses(self, critic, real, fake, uniform):
        return 0.5 * squared_norms(critic, real)


LOSSES = {
    "non_saturating": NonSaturating,
    "least_squares": LeastSquares,
    "hinge": Hinge,
    "wasserstein": Wasserstein,
}
PENALTIES = {"gradient_penalty": GradientPenalty, "r1": R1}


def resolve(role, value, known, kind):
    """An object from its name, a dictionary `{"class": name, ...}` of arguments, its serialized form, or itself."""
    if isinstance(value, str):
        value = {"class": value}
    if isinstance(value, dict) and "class" in value:
        arguments = {key: item for key, item in value.items() if key != "class"}
        if value["class"] not in known:
            raise InputError(f"{role} is {value['class']!r}; expected one of {sorted(known)}, or an object.")
        try:
            return known[value["class"]](**arguments)
        except TypeError as error:
            raise InputError(f"{role} does not fit {value['class']}: {error}") from error
    if isinstance(value, dict):
        value = keras.saving.deserialize_keras_object(value)
    if not isinstance(value, kind):
        raise InputError(f"{role} is a {type(value).__name__}; expected one of {sorted(known)}, or a {kind.__name__}.")
    return value
