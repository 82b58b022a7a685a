"""`LikelihoodModel`: what families with `log_prob` share."""

import math

import numpy as np

from kerasgen.base.generative import GenerativeModel
from kerasgen.modalities import Images
from kerasgen.recipes import Evaluation
from kerasgen.typing import Any, ArrayLike, Callable, Config, Labels


class LikelihoodModel(GenerativeModel):
    """A `GenerativeModel` with `likelihood` "exact", "bound" or "estimate".

    A family gives `log_prob(x, labels, ...)`: log P of each example as the user holds it, in nats, float32 `[N]`. Of an
    image that is the probability of its pixels, each of which takes one of `num_levels` values, and of a vector a
    density.
    """

    num_levels = 256  # values that a pixel can take

    def log_prob(self, x: ArrayLike, labels: Labels = None) -> np.ndarray:
        raise NotImplementedError

    def bits_per_dim(self, x: ArrayLike, labels: Labels = None, **settings: Any) -> np.ndarray:
        """-log2 P(x) / dims in bits, float32 `[N]`; settings are those of `log_prob`."""
        return -self.log_prob(x, labels, **settings) / (self.num_dims * math.log(2.0))

    def anomaly_score(self, x: ArrayLike, labels: Labels = None, **settings: Any) -> np.ndarray:
        """-log P(x) in nats `[N]`: higher is stranger; settings are those of `log_prob`."""
        return -self.log_prob(x, labels, **settings)

    def complexity_score(self, x: ArrayLike, labels: Labels = None, **settings: Any) -> np.ndarray:
        """-log2 P(x) less the bits that a PNG file takes for x, `[N]` (Serrà et al. 2020, equation 2).

        Likelihoods of images are high for simple ones, whatever the model has learned; this takes it off.
        """
        x = self.modality.to_storage(self.modality.check(x))
        bits = self.anomaly_score(x, labels, **settings) / math.log(2.0)
        return bits - np.array([8.0 * self.modality.file_size(image) for image in x], np.float32)

    def anomaly_scorers(self) -> dict[str, Callable]:
        drawn = (
            {"complexity": self.complexity_score}
            if isinstance(self.modality, Images) and self.modality.drawable
            else {}
        )
        return {"likelihood": self.anomaly_score, **super().anomaly_scorers(), **drawn}

    def likelihood_protocol(self, settings: Evaluation) -> tuple[Config, Config]:
        """Arguments of `bits_per_dim`, from the settings of an evaluation, and what else its figures depend on."""
        return {}, {}

    def measures(self) -> tuple[str, ...]:
        return (*super().measures(), "bits_per_dim")
