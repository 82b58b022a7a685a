"""Image-to-image translation learnt from pairs (Isola et al. 2017, "pix2pix")."""

import numpy as np
from keras import ops

from kerasgen import backend, inputs
from kerasgen.base import SAMPLED, Exhibit, register_family
from kerasgen.gans.translator import Translator, distance, mean_over_patches
from kerasgen.networks import resolve
from kerasgen.recipes import Evaluation
from kerasgen.typing import Any, ArrayLike, Logs, Shape, Tensor, Verbose

SHOWN = 10  # pairs in a row of an exhibit


@register_family
class Pix2Pix(Translator):
    """y = G(x): the generator learns from pairs (x, y), against a discriminator of pairs and with the L1 distance.

    G minimizes the loss plus `distance_weight` |y - G(x)| (equation 4), images in [-1, 1]; the discriminator's loss is
    halved, as in section 3.3.

    Args:
        shape, seed: see `BaseModel`; the shape is that of y.
        source_channels: channels of x, if not as many.
        generator: a name in `kerasgen.networks.TRANSLATORS`, a dictionary with it as "class" and arguments, or a Keras
            layer from x `[B, H, W, source_channels]` to y `[B, H, W, channels]`, both in [-1, 1].
        discriminator: likewise, in `kerasgen.networks.PATCH_DISCRIMINATORS`, from x and y one behind the other in the
            last axis to logits `[B, h, w]`, or `[B]`.
        loss: "non_saturating", "least_squares", "hinge" or "wasserstein", or an `AdversarialLoss`.
        distance_weight: of the L1 distance (lambda).
    """

    loss_names = (*Translator.loss_names, "distance")
    trains_on = "pairs"

    def __init__(
        self,
        shape: Shape = (64, 64, 3),
        source_channels: int | None = None,
        generator: Any = None,
        discriminator: Any = None,
        loss: Any = "non_saturating",
        distance_weight: float = 100.0,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(shape, source_channels, loss, seed, **kwargs)
        self.distance_weight = inputs.check_number("distance_weight", distance_weight, 0.0)
        generator, discriminator = generator or "UNet", discriminator or "patch"
        self.keep(generator=generator, discriminator=discriminator)
        pair_shape = (*self.shape[:2], self.source_channels + self.shape[-1])
        self.generator = resolve.translator(generator, self.source.shape, self.shape, self.dtype_policy)
        self.discriminator = resolve.patch_discriminator(discriminator, pair_shape, self.dtype_policy)

    def generate(self, x: Tensor, training: bool = False) -> Tensor:
        return ops.cast(self.generator(x, training=training), "float32")

    def logits(self, x: Tensor, y: Tensor, training: bool = False) -> Tensor:
        """The discriminator's logits of pairs."""
        pairs = ops.concatenate([x, y], axis=-1)
        return ops.cast(self.discriminator(pairs, training=training), "float32")

    def discriminator_losses(self, x: Tensor, y: Tensor, training: bool = False) -> tuple[Tensor, dict]:
        """`[B]`, and the logs."""
        fake = ops.stop_gradient(self.generate(x, training))
        real_logit, fake_logit = (self.logits(x, images, training) for images in (y, fake))
        losses = 0.5 * mean_over_patches(self.loss_function.discriminator(real_logit, fake_logit))
        return losses, {"discriminator_loss": losses, "real_logit": real_logit, "fake_logit": fake_logit}

    def generator_losses(self, x: Tensor, y: Tensor, training: bool = False) -> tuple[Tensor, dict]:
        """`[B]`, and the logs."""
        fake = self.generate(x, training)
        losses = mean_over_patches(self.loss_function.generator(self.logits(x, fake, training)))
        far = distance(y, fake)
        losses = losses + self.distance_weight * far
        return losses, {"generator_loss": losses, "distance": far}

    @backend.train_step
    def train_step(self, data: Any) -> Logs:
        x, y, weights = self.unpack(data)

        def mean_of(function):
            losses, logs = function(x, y, training=True)
            return self.mean(losses, weights), logs

        logs = self.minimize_player("discriminator", lambda: mean_of(self.discriminator_losses))
        logs |= self.minimize_player("generator", lambda: mean_of(self.generator_losses))
        self.optimizer.iterations.assign_add(1)
        return self.update_metrics(weights, **logs)

    @backend.test_step
    def test_step(self, data: Any) -> Logs:
        x, y, weights = self.unpack(data)
        logs = self.discriminator_losses(x, y)[1] | self.generator_losses(x, y)[1]
        return self.update_metrics(weights, **logs)

    def translate_step(self, images: Tensor) -> Tensor:
        return self.run_generator(self.generator, images)

    def translate(self, x: ArrayLike, batch_size: int = 64, verbose: Verbose = "auto") -> np.ndarray:
        """y of images x `[N, H, W, source_channels]`: float32 `[N, H, W, channels]` in [0, 1]."""
        return self.run_on(self.translate_step, x, self.source, batch_size, verbose)

    def measures(self) -> tuple[str, ...]:
        return ("mean_squared_error", "psnr", "ssim", *SAMPLED)

    def exhibit(self, examples: np.ndarray | None, labels: np.ndarray | None, settings: Evaluation) -> list[Exhibit]:
        """y of pairs, and below each what G makes of its x; `examples` are x, `labels` y."""

        def translations():
            real = self.modality.to_float(self.modality.check(labels[:SHOWN]))
            return np.concatenate([real, self.translate(examples[:SHOWN], verbose=0)])

        columns = SHOWN if labels is None else min(SHOWN, len(labels))
        caption = "The first images to give, not picked, and below each what was made of its other half."
        return [Exhibit(translations, columns, caption)]
