"""Image-to-image translation learnt from pairs (Isola et al. 2017, "pix2pix")."""

import keras
from keras import ops

from kerasgen import backend, inputs, networks
from kerasgen.gans.translator import Translator, distance, of_patches


@keras.saving.register_keras_serializable("kerasgen")
class Pix2Pix(Translator):
    """y = G(x), as like the y of each pair as a discriminator of pairs (x, y) and the L1 distance ask.

    Minimises over G what the loss says plus `distance_weight` |y - G(x)| (equation 4), images in [-1, 1]; the
    discriminator's loss is halved, as in section 3.3.

    Args:
        image_shape: `(height, width, channels)` of y.
        source_channels: channels of x, if not as many.
        generator: a dictionary with the name of a class in `kerasgen.networks.TRANSLATORS` as "class" and arguments of
            it, or a Keras layer from x `[B, H, W, source_channels]` to y `[B, H, W, channels]`, both in [-1, 1].
        discriminator: likewise, in `kerasgen.networks.PATCH_DISCRIMINATORS`, from x and y one behind the other in the
            last axis to logits `[B, h, w]`, or `[B]`.
        loss: "non_saturating", "least_squares", "hinge" or "wasserstein", or a `kerasgen.gans.losses.GameLoss`.
        distance_weight: of the L1 distance (lambda).
        seed: of the noise drawn in training.
    """

    loss_names = (
        "discriminator_loss",
        "generator_loss",
        "distance",
        "real_logit",
        "fake_logit",
        "discriminator_gradient_norm",
        "generator_gradient_norm",
    )

    def __init__(
        self,
        image_shape=(64, 64, 3),
        source_channels=None,
        generator=None,
        discriminator=None,
        loss="non_saturating",
        distance_weight=100.0,
        seed=0,
        **kwargs,
    ):
        super().__init__(image_shape, source_channels, loss, seed, **kwargs)
        self.distance_weight = inputs.check_number("distance_weight", distance_weight, 0.0)
        self._network_arguments = (generator or {"class": "UNet"}, discriminator or {"class": "Patch"})
        pair_shape = (*self.image_shape[:2], self.source_shape[-1] + self.image_shape[-1])
        self.generator = networks.translator(
            self._network_arguments[0], self.source_shape, self.image_shape, self.dtype_policy
        )
        self.discriminator = networks.patch_discriminator(self._network_arguments[1], pair_shape, self.dtype_policy)

    def get_config(self):
        generator, discriminator = (
            networks.serialize(made, argument)
            for made, argument in zip((self.generator, self.discriminator), self._network_arguments, strict=True)
        )
        return super().get_config() | {
            "source_channels": self.source_shape[-1],
            "generator": generator,
            "discriminator": discriminator,
            "distance_weight": self.distance_weight,
        }

    def generated(self, x, training=False):
        return ops.cast(self.generator(x, training=training), "float32")

    def judged(self, x, y, training=False):
        """Logits of pairs."""
        pairs = ops.concatenate([x, y], axis=-1)
        return ops.cast(self.discriminator(pairs, training=training), "float32")

    def discriminator_losses(self, x, y, training=False):
        """`[B]`, and the logs."""
        fake = ops.stop_gradient(self.generated(x, training))
        real_logit, fake_logit = (self.judged(x, images, training) for images in (y, fake))
        losses = 0.5 * of_patches(self.loss_function.discriminator(real_logit, fake_logit))
        return losses, {"discriminator_loss": losses, "real_logit": real_logit, "fake_logit": fake_logit}

    def generator_losses(self, x, y, training=False):
        """`[B]`, and the logs."""
        fake = self.generated(x, training)
        losses = of_patches(self.loss_function.generator(self.judged(x, fake, training)))
        far = distance(y, fake)
        losses = losses + self.distance_weight * far
        return losses, {"generator_loss": losses, "distance": far}

    @backend.train_step
    def train_step(self, data):
        x, y = self.unpack(data)

        def mean_of(function):
            losses, logs = function(x, y, training=True)
            return ops.mean(losses), logs

        logs = self.move("discriminator", lambda: mean_of(self.discriminator_losses))
        logs |= self.move("generator", lambda: mean_of(self.generator_losses))
        self.optimizer.iterations.assign_add(1)
        return self.update_metrics(**logs)

    @backend.test_step
    def test_step(self, data):
        x, y = self.unpack(data)
        logs = self.discriminator_losses(x, y)[1] | self.generator_losses(x, y)[1]
        return self.update_metrics(**logs)

    def translate_step(self, images):
        return self.translated(self.generator, images)

    def translate(self, x, batch_size=64, verbose="auto"):
        """y of images x `[N, H, W, source_channels]`: float32 `[N, H, W, channels]` in [0, 1]."""
        return self.run_on(self.translate_step, x, self.source_shape, batch_size, verbose)
