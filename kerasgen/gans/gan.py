"""Generative adversarial networks (Goodfellow et al. 2014) with the losses, penalties and networks that came after."""

import math
import warnings

import keras
import numpy as np
from keras import ops

from kerasgen import backend, inputs, networks, noise
from kerasgen.errors import InputError
from kerasgen.models import game
from kerasgen.gans.augmentation import AUGMENTATIONS
from kerasgen.base.latent import DecodingModel
from kerasgen.gans.optimizer import Game, Players

SETTLING = 20  # batches of latents from which the moving statistics of the averaged generator are taken
SETTLING_BATCH = 100
SETTLED = 1000  # steps of the generator before which little variety says nothing


class CollapseWarning(keras.callbacks.Callback):
    """Warns after an epoch in which samples varied less than `fraction` of what the data do."""

    def __init__(self, fraction):
        super().__init__()
        self.fraction = fraction

    def on_epoch_end(self, epoch, logs=None):
        ratio = float(np.squeeze(logs["diversity"]))
        if ratio < self.fraction and ops.convert_to_numpy(self.model.optimizer.iterations) >= SETTLED:
            warnings.warn(
                f"epoch {epoch + 1}: the variance of samples is {ratio:.3g} of the data's, under {self.fraction:g}. "
                "The generator may have collapsed to few modes: try a penalty, spectral normalization, a lower "
                "learning rate or more discriminator_steps.",
                stacklevel=2,
            )


@keras.saving.register_keras_serializable("kerasgen")
class GAN(Game, DecodingModel):
    """z ~ N(0, I) becomes an image by the generator; the discriminator learns to tell it from real ones.

    A training step is `discriminator_steps` steps of the discriminator, each on the batch's real images and new fake
    ones of the same classes, and one step of the generator. Each player has its own optimizer.

    Args:
        image_shape: `(height, width, channels)`, or `(features,)` of float vectors of any range.
        latent_dim: number of latents.
        generator: a dictionary with the name of a class in `kerasgen.networks.GENERATORS` as "class" and arguments of
            it, or a Keras layer from z `[B, latent_dim]`, with classes from `[z, one_hot]`, to images in [-1, 1].
        discriminator: likewise, in `kerasgen.networks.DISCRIMINATORS`, from images in [-1, 1], with classes from
            `[images, one_hot]`, to logits `[B]`.
        num_classes: number of classes if class-conditional, else `None`.
        loss: "non_saturating", "least_squares", "hinge" or "wasserstein", or a `kerasgen.gans.losses.GameLoss`.
        penalty: `None`, "gradient_penalty" or "r1", a dictionary such as `{"class": "r1", "weight": 0.1, "interval":
            16}`, or a `kerasgen.gans.losses.Penalty`.
        discriminator_steps: to each step of the generator.
        augmentation: any of "color", "translation" and "cutout", of all that the discriminator reads in training.
        collapse_fraction: `fit` warns when samples vary less than this part of what the data do.
        seed: of the noise drawn in training.
    """

    loss_names = (
        "discriminator_loss",
        "generator_loss",
        "penalty",
        "real_logit",
        "fake_logit",
        "discriminator_gradient_norm",
        "generator_gradient_norm",
        "diversity",
    )
    takes_vectors = True

    def __init__(
        self,
        image_shape=(28, 28, 1),
        latent_dim=64,
        generator=None,
        discriminator=None,
        num_classes=None,
        loss="non_saturating",
        penalty=None,
        discriminator_steps=1,
        augmentation=(),
        collapse_fraction=0.1,
        seed=0,
        **kwargs,
    ):
        super().__init__(image_shape, num_classes, seed, **kwargs)
        self.check_precision()
        self.latent_dim = inputs.check_integer("latent_dim", latent_dim, 1)
        self.loss_function = game.resolve("loss", loss, game.LOSSES, game.GameLoss)
        self.penalty = None if penalty is None else game.resolve("penalty", penalty, game.PENALTIES, game.Penalty)
        self.discriminator_steps = inputs.check_integer("discriminator_steps", discriminator_steps, 1)
        self.augmentation = tuple(augmentation)
        if not set(self.augmentation) <= set(AUGMENTATIONS) or (self.augmentation and self.vectors):
            raise InputError(f"augmentation is {self.augmentation}; images take any of {list(AUGMENTATIONS)}.")
        self.collapse_fraction = inputs.check_number("collapse_fraction", collapse_fraction, 0.0)
        default = {"class": "Dense" if self.vectors else "Conv"}
        self._network_arguments = (generator or default, discriminator or default)
        sizes = (self.image_shape, self.num_classes, self.dtype_policy)
        with keras.name_scope("generator"):
            self.generator = networks.generator(self._network_arguments[0], self.latent_dim, *sizes)
        with keras.name_scope("discriminator"):
            self.discriminator = networks.discriminator(self._network_arguments[1], *sizes)

    def get_config(self):
        generator, discriminator = (
            networks.serialize(made, argument)
            for made, argument in zip((self.generator, self.discriminator), self._network_arguments, strict=True)
        )
        return super().get_config() | {
            "latent_dim": self.latent_dim,
            "generator": generator,
            "discriminator": discriminator,
            "loss": keras.saving.serialize_keras_object(self.loss_function),
            "penalty": None if self.penalty is None else keras.saving.serialize_keras_object(self.penalty),
            "discriminator_steps": self.discriminator_steps,
            "augmentation": list(self.augmentation),
            "collapse_fraction": self.collapse_fraction,
        }

    @property
    def vectors(self):
        return len(self.image_shape) == 1

    # The players

    def generated(self, z, one_hot, training=False):
        """Images in [-1, 1], or vectors, of z."""
        return ops.cast(self.generator(z if one_hot is None else [z, one_hot], training=training), "float32")

    def judged(self, x, one_hot, training=False):
        """Logits `[B]`."""
        return ops.cast(self.discriminator(x if one_hot is None else [x, one_hot], training=training), "float32")

    def normal(self, shape):
        """The latents of a training step."""
        return keras.random.normal(shape, seed=self.seed_generator)

    def uniform(self, shape):
        """Random numbers in [0, 1) of a training step."""
        return keras.random.uniform(shape, seed=self.seed_generator)

    def fake(self, num, one_hot, training):
        return self.generated(self.normal((num, self.latent_dim)), one_hot, training)

    def augmented(self, x):
        for name in self.augmentation:
            x = AUGMENTATIONS[name](x, self.uniform)
        return x

    def to_data(self, images):
        return images if self.vectors else 2.0 * images - 1.0

    def to_images(self, x):
        return x if self.vectors else 0.5 * (x + 1.0)

    # Training

    def default_optimizer(self):
        """Adam for both, with beta_1 = 0, and an averaged generator."""
        arguments = {"learning_rate": 2e-4, "beta_1": 0.0, "beta_2": 0.99}
        generator = keras.optimizers.Adam(**arguments, use_ema=True, ema_momentum=0.999)
        return Players(generator, keras.optimizers.Adam(**arguments))

    def fit(self, x=None, y=None, *args, callbacks=None, **kwargs):
        callbacks = [*(callbacks or ()), CollapseWarning(self.collapse_fraction)]
        return super().fit(x, y, *args, callbacks=callbacks, **kwargs)

    def discriminator_losses(self, real, one_hot, training):
        """What the discriminator minimises but for the penalty `[B]`, and the logs."""
        fake = ops.stop_gradient(self.fake(ops.shape(real)[0], one_hot, training))
        # Apart from each other: what a discriminator sees of its batch must be real or fake.
        real_logit, fake_logit = (
            self.judged(self.augmented(x) if training else x, one_hot, training) for x in (real, fake)
        )
        losses = self.loss_function.discriminator(real_logit, fake_logit)
        logs = {
            "discriminator_loss": losses,
            "real_logit": real_logit,
            "fake_logit": fake_logit,
            "diversity": ops.mean(ops.var(fake, axis=0)) / ops.mean(ops.var(real, axis=0) + 1e-12),
        }
        return losses, fake, logs

    def penalties(self, real, fake, one_hot):
        """The weighted penalty `[B]`: in most steps zeros if it is lazy."""
        if self.penalty is None:
            return ops.zeros((ops.shape(real)[0],))
        uniform = self.uniform((ops.shape(real)[0], *[1] * len(self.image_shape)))
        real, fake = self.augmented(real), self.augmented(fake)

        def cost():
            # Not in training: nothing is assigned within the gradient.
            losses = self.penalty.losses(lambda x: self.judged(x, one_hot), real, fake, uniform)
            return self.penalty.weight * self.penalty.interval * losses

        if self.penalty.interval == 1:
            return cost()
        due = ops.equal(self.optimizer.iterations % self.penalty.interval, 0)
        return ops.cond(due, cost, lambda: ops.zeros((ops.shape(real)[0],)))

    @backend.train_step
    def train_step(self, data):
        images, one_hot = self.unpack(data)
        real = self.to_data(images)

        def discriminator_loss():
            losses, fake, logs = self.discriminator_losses(real, one_hot, training=True)
            penalty = self.penalties(real, fake, one_hot)
            return ops.mean(losses + penalty), logs | {"penalty": penalty}

        def generator_loss():
            fake = self.augmented(self.fake(ops.shape(real)[0], one_hot, training=True))
            losses = self.loss_function.generator(self.judged(fake, one_hot, training=True))
            return ops.mean(losses), {"generator_loss": losses}

        for _ in range(self.discriminator_steps):
            logs = self.move("discriminator", discriminator_loss)
        logs |= self.move("generator", generator_loss)
        self.optimizer.iterations.assign_add(1)
        return self.update_metrics(**logs)

    @backend.test_step
    def test_step(self, data):
        """The losses without penalty, and no gradients."""
        images, one_hot = self.unpack(data)
        _, fake, logs = self.discriminator_losses(self.to_data(images), one_hot, training=False)
        logs["generator_loss"] = self.loss_function.generator(self.judged(fake, one_hot))
        return self.update_metrics(**logs)

    # Sampling

    def prepare_sampling(self, images):
        """Takes the moving statistics of batch normalization anew: those of training are of other weights.

        The "standing statistics" of Brock et al. 2019, section 4.1.
        """
        if not self.generator.non_trainable_variables:
            return
        for index in range(SETTLING):
            start = index * SETTLING_BATCH
            stop = start + SETTLING_BATCH
            labels = self.sample_labels(None, SETTLING_BATCH)
            one_hot = None if labels is None else self.one_hot(labels)
            z = ops.convert_to_tensor(noise.normal(start, stop, (self.latent_dim,), self.seed, stream=5))
            self.generated(z, one_hot, training=True)

    def how_drawn(self, temperature=1.0, truncation=None, **settings):
        if truncation is not None and inputs.check_number("truncation", truncation, 0.0) == 0.0:
            raise InputError("truncation is 0; expected a positive number, or None.")
        how = super().how_drawn(temperature, **settings)
        return how if truncation is None else how | {"truncation": truncation}

    def draw_latents(self, start, stop, seed, temperature, truncation=None):
        """z ~ N(0, temperature^2 I), float32 `[stop - start, latent_dim]`.

        With `truncation` from the part of N(0, I) within plus and minus it (Brock et al. 2019, section 3.1), by
        P(|z| < r) = erf(r / √2): fewer kinds of images, better ones.
        """
        z = noise.normal(start, stop, (self.latent_dim,), seed)
        if truncation is not None:
            inside = math.erf(truncation / math.sqrt(2.0)) * ops.erf(z / math.sqrt(2.0))
            z = math.sqrt(2.0) * ops.convert_to_numpy(ops.erfinv(inside))
        return temperature * z

    def decode_step(self, z, labels):
        """Images of latents."""
        one_hot = None if labels is None else self.one_hot(labels)
        return self.to_images(self.generated(z, one_hot))
