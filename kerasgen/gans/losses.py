"""Losses of a generator and a discriminator, each a pair of lines."""

from typing import Self

import keras
from keras import ops

from kerasgen.typing import Config, Tensor


class Configured:
    """An object made of its config."""

    @classmethod
    def from_config(cls, config: Config) -> Self:
        return cls(**config)


class AdversarialLoss(Configured):
    """What each network minimises, given the discriminator's logits `[B]`; results are `[B]`."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        raise NotImplementedError

    def generator(self, fake: Tensor) -> Tensor:
        raise NotImplementedError

    def get_config(self) -> Config:
        return {}


@keras.saving.register_keras_serializable("kerasgen")
class NonSaturating(AdversarialLoss):
    """-log D(x) - log(1 - D(G(z))) against -log D(G(z)), D = sigmoid(logit) (Goodfellow et al. 2014, section 3)."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return ops.softplus(-real) + ops.softplus(fake)

    def generator(self, fake: Tensor) -> Tensor:
        return ops.softplus(-fake)


@keras.saving.register_keras_serializable("kerasgen")
class LeastSquares(AdversarialLoss):
    """Targets 1 for real and 0 for fake (Mao et al. 2017, equation 9)."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return 0.5 * (ops.square(real - 1.0) + ops.square(fake))

    def generator(self, fake: Tensor) -> Tensor:
        return 0.5 * ops.square(fake - 1.0)


@keras.saving.register_keras_serializable("kerasgen")
class Hinge(AdversarialLoss):
    """Margins of 1 (Lim and Ye 2017; Miyato et al. 2018, equations 16 and 17)."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return ops.relu(1.0 - real) + ops.relu(1.0 + fake)

    def generator(self, fake: Tensor) -> Tensor:
        return -fake


@keras.saving.register_keras_serializable("kerasgen")
class Wasserstein(AdversarialLoss):
    """The difference of means; the greatest over 1-Lipschitz critics is the distance (Arjovsky et al. 2017)."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return fake - real

    def generator(self, fake: Tensor) -> Tensor:
        return -fake


LOSSES = {"non_saturating": NonSaturating, "least_squares": LeastSquares, "hinge": Hinge, "wasserstein": Wasserstein}
