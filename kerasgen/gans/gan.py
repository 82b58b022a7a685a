"""Generative adversarial networks (Goodfellow et al. 2014) with the losses, penalties and networks that came after."""

import math
import warnings

import keras
import numpy as np
from keras import ops

from kerasgen import backend, inputs, noise
from kerasgen.base import DecodingModel, register_family
from kerasgen.errors import InputError
from kerasgen.gans.adversarial import AdversarialModel
from kerasgen.gans.augmentation import AUGMENTATIONS
from kerasgen.gans.losses import LOSSES, AdversarialLoss
from kerasgen.gans.optimizer import GANOptimizer
from kerasgen.gans.penalties import PENALTIES, Penalty
from kerasgen.modalities import Images, Modality, Vectors
from kerasgen.networks import resolve
from kerasgen.typing import Any, ArrayLike, Config, Labels, Logs, Seed, Sequence, Shape, Tensor, Verbose

STANDING_BATCHES = 20  # of latents, from which the statistics of batch normalization are taken
STANDING_BATCH = 100
SETTLED = 1000  # steps of the generator before which little variety says nothing


class CollapseWarning(keras.callbacks.Callback):
    """Warns after an epoch in which samples varied less than `fraction` of what the data do."""

    def __init__(self, fraction: float):
        super().__init__()
        self.fraction = fraction

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        ratio = float(np.squeeze(logs["diversity"]))
        if ratio < self.fraction and ops.convert_to_numpy(self.model.optimizer.iterations) >= SETTLED:
            warnings.warn(
                f"epoch {epoch + 1}: the variance of samples is {ratio:.3g} of the data's, under {self.fraction:g}. "
                "The generator may have collapsed to few modes: try a penalty, spectral normalization, a lower "
                "learning rate or more discriminator_steps.",
                stacklevel=2,
            )


def variance(x: Tensor) -> Tensor:
    """The variance of each value over the global batch, `[B, ...]`, and its mean over values."""
    total = ops.cast(backend.replica_rows(ops.shape(x)[0])[1], "float32")
    mean = backend.replica_sum(ops.sum(x, axis=0)) / total
    return ops.mean(backend.replica_sum(ops.sum(ops.square(x - mean), axis=0)) / total)


@register_family
class GAN(AdversarialModel, DecodingModel):
    """z ~ N(0, I) becomes an image by the generator; the discriminator learns to tell it from real ones.

    A training step is `discriminator_steps` steps of the discriminator, each on the batch's real images and new fake
    ones of the same classes, and one step of the generator. Each player has its own optimizer.

    Args:
        shape, num_classes, seed: see `BaseModel`; vectors `(features,)` are float of any range.
        latent_dim: number of latents.
        generator: a name in `kerasgen.networks.GENERATORS`, a dictionary with it as "class" and arguments, or a Keras
            layer from z `[B, latent_dim]`, with classes from `[z, one_hot]`, to images in [-1, 1].
        discriminator: likewise, in `kerasgen.networks.DISCRIMINATORS`, from images in [-1, 1], with classes from
            `[images, one_hot]`, to logits `[B]`.
        loss: "non_saturating", "least_squares", "hinge" or "wasserstein", or an `AdversarialLoss`.
        penalty: `None`, "gradient_penalty" or "r1", a dictionary such as `{"class": "r1", "weight": 0.1, "interval":
            16}`, or a `Penalty`.
        discriminator_steps: to each step of the generator.
        augmentation: any of "color", "translation" and "cutout", for all that the discriminator reads in training.
        collapse_fraction: `fit` warns when samples vary less than this part of what the data do.
    """

    loss_names = (*AdversarialModel.loss_names, "penalty", "diversity")
    modalities = (Images, Vectors)

    def __init__(
        self,
        shape: Shape = (28, 28, 1),
        latent_dim: int = 64,
        generator: Any = None,
        discriminator: Any = None,
        num_classes: int | None = None,
        loss: Any = "non_saturating",
        penalty: Any = None,
        discriminator_steps: int = 1,
        augmentation: Sequence[str] = (),
        collapse_fraction: float = 0.1,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(shape, num_classes, seed, **kwargs)
        self.latent_dim = inputs.check_integer("latent_dim", latent_dim, 1)
        self.loss_function = resolve.resolve("loss", loss, LOSSES, AdversarialLoss)
        self.penalty = None if penalty is None else resolve.resolve("penalty", penalty, PENALTIES, Penalty)
        self.discriminator_steps = inputs.check_integer("discriminator_steps", discriminator_steps, 1)
        self.augmentation = tuple(augmentation)
        if not set(self.augmentation) <= set(AUGMENTATIONS) or (self.augmentation and self.vectors):
            raise InputError(f"augmentation is {self.augmentation}; images take any of {list(AUGMENTATIONS)}.")
        self.collapse_fraction = inputs.check_number("collapse_fraction", collapse_fraction, 0.0)
        generator, discriminator = (
            network or ("dense" if self.vectors else "conv") for network in (generator, discriminator)
        )
        self.keep(loss=self.loss_function, generator=generator, discriminator=discriminator)
        sizes = (self.shape, self.num_classes, self.dtype_policy)
        with keras.name_scope("generator"):
            self.generator = resolve.generator(generator, self.latent_dim, *sizes)
        with keras.name_scope("discriminator"):
            self.discriminator = resolve.discriminator(discriminator, *sizes)

    @property
    def called(self) -> str:
        """With classes, a latent needs a label too."""
        return "decode" if self.num_classes is None else ""

    def input_modality(self) -> Modality:
        super().input_modality()
        return Vectors((self.latent_dim,))

    def call(self, z: Tensor, training: bool = False) -> Tensor:
        """Images in [0, 1] of latents `[B, latent_dim]`, or vectors; without classes only."""
        return self.modality.from_network(self.generate(z, None, training))

    def generate(self, z: Tensor, one_hot: Tensor | None, training: bool = False) -> Tensor:
        """The generator's images in [-1, 1], or vectors."""
        return ops.cast(self.generator(z if one_hot is None else [z, one_hot], training=training), "float32")

    def logits(self, x: Tensor, one_hot: Tensor | None, training: bool = False) -> Tensor:
        """The discriminator's logits `[B]`."""
        return ops.cast(self.discriminator(x if one_hot is None else [x, one_hot], training=training), "float32")

    def fake(self, num: Any, one_hot: Tensor | None, training: bool) -> Tensor:
        """`num` new fakes."""
        return self.generate(self.normal((num, self.latent_dim)), one_hot, training)

    def augment(self, x: Tensor) -> Tensor:
        """What the discriminator reads in training."""
        for name in self.augmentation:
            x = AUGMENTATIONS[name](x, self.uniform)
        return x

    # Training

    def default_optimizer(self) -> GANOptimizer:
        """Adam for both networks, with beta_1 = 0, and an averaged generator."""
        arguments = {"learning_rate": 2e-4, "beta_1": 0.0, "beta_2": 0.99}
        generator = keras.optimizers.Adam(**arguments, use_ema=True, ema_momentum=0.999)
        return GANOptimizer(generator, keras.optimizers.Adam(**arguments))

    def training_callbacks(self) -> list[keras.callbacks.Callback]:
        return [*super().training_callbacks(), CollapseWarning(self.collapse_fraction)]

    def discriminator_losses(self, real: Tensor, one_hot: Tensor | None, training: bool) -> tuple:
        """What the discriminator minimizes but for the penalty `[B]`, the fakes, and the logs."""
        fake = ops.stop_gradient(self.fake(ops.shape(real)[0], one_hot, training))
        # Apart from each other: what a discriminator sees of its batch must be real or fake.
        seen = (self.augment(x) if training else x for x in (real, fake))
        real_logit, fake_logit = (self.logits(x, one_hot, training) for x in seen)
        losses = self.loss_function.discriminator(real_logit, fake_logit)
        logs = {
            "discriminator_loss": losses,
            "real_logit": real_logit,
            "fake_logit": fake_logit,
            "diversity": variance(fake) / (variance(real) + 1e-12),
        }
        return losses, fake, logs

    def penalties(self, real: Tensor, fake: Tensor, one_hot: Tensor | None) -> Tensor:
        """The weighted penalty `[B]`: in most steps zeros if it is lazy."""
        if self.penalty is None:
            return ops.zeros((ops.shape(real)[0],), "float32")
        uniform = self.uniform((ops.shape(real)[0], *[1] * len(self.shape)))
        real, fake = self.augment(real), self.augment(fake)

        def cost():
            # Not in training: nothing is assigned within the gradient.
            losses = self.penalty.losses(lambda x: self.logits(x, one_hot), real, fake, uniform)
            return self.penalty.weight * self.penalty.interval * losses

        if self.penalty.interval == 1:
            return cost()
        due = ops.equal(self.optimizer.iterations % self.penalty.interval, 0)
        return ops.cond(due, cost, lambda: ops.zeros((ops.shape(real)[0],), "float32"))

    @backend.train_step
    def train_step(self, data: Any) -> Logs:
        images, one_hot, weights = self.unpack(data)
        real = self.modality.to_network(images)

        def discriminator_loss():
            losses, fake, logs = self.discriminator_losses(real, one_hot, training=True)
            penalty = self.penalties(real, fake, one_hot)
            return self.mean(losses + penalty, weights), logs | {"penalty": penalty}

        def generator_loss():
            fake = self.augment(self.fake(ops.shape(real)[0], one_hot, training=True))
            losses = self.loss_function.generator(self.logits(fake, one_hot, training=True))
            return self.mean(losses, weights), {"generator_loss": losses}

        for _ in range(self.discriminator_steps):
            logs = self.minimize_player("discriminator", discriminator_loss)
        logs |= self.minimize_player("generator", generator_loss)
        self.optimizer.iterations.assign_add(1)
        return self.update_metrics(weights, **logs)

    @backend.test_step
    def test_step(self, data: Any) -> Logs:
        """The losses without penalty, and no gradients."""
        images, one_hot, weights = self.unpack(data)
        _, fake, logs = self.discriminator_losses(self.modality.to_network(images), one_hot, training=False)
        logs["generator_loss"] = self.loss_function.generator(self.logits(fake, one_hot))
        return self.update_metrics(weights, **logs)

    # Sampling

    def refresh(self) -> None:
        """Takes the moving statistics of batch normalization anew: those of training are of other weights.

        The "standing statistics" of Brock et al. 2019, section 4.1: plain means, of the mean and of the variance of
        each of `STANDING_BATCHES` batches. `fit` does this at the end of each epoch, before validation and callbacks;
        call it after a loop of your own.
        """
        if not self.generator.non_trainable_variables:
            return
        layers = [x for x in self.generator._flatten_layers() if isinstance(x, keras.layers.BatchNormalization)]
        momenta = [layer.momentum for layer in layers]
        try:
            for index in range(STANDING_BATCHES):
                for layer in layers:
                    layer.momentum = index / (index + 1)  # of batches up to here the plain mean
                start = index * STANDING_BATCH
                one_hot = self.one_hot(self.sample_labels(None, STANDING_BATCH))
                z = noise.normal(start, start + STANDING_BATCH, (self.latent_dim,), self.seed, stream=5)
                self.generate(ops.convert_to_tensor(z), one_hot, training=True)
        finally:
            for layer, momentum in zip(layers, momenta, strict=True):
                layer.momentum = momentum

    def prepare_sampling(self, x: ArrayLike | None = None) -> None:
        """As `refresh`."""
        self.refresh()

    def sampling_config(self, temperature: float = 1.0, truncation: float | None = None, **settings: Any) -> Config:
        if truncation is not None and inputs.check_number("truncation", truncation, 0.0) == 0.0:
            raise InputError("truncation is 0; expected a positive number, or None.")
        config = super().sampling_config(temperature, **settings)
        return config if truncation is None else config | {"truncation": truncation}

    @inputs.names_settings
    def sample(
        self,
        num_samples: int,
        labels: Labels = None,
        seed: Seed = None,
        temperature: float = 1.0,
        batch_size: int = 64,
        verbose: Verbose = "auto",
        *,
        truncation: float | None = None,
    ) -> np.ndarray:
        """As `DecodingModel.sample`, from latents within `truncation` (Brock et al. 2019, section 3.1), if it is given.

        The smaller the bound, the better the images, and the fewer kinds of them.
        """
        self.sampling_config(temperature, truncation)  # refuses a truncation of 0
        return self.decode_drawn(num_samples, labels, seed, temperature, batch_size, verbose, truncation=truncation)

    def draw_latents(
        self, start: int, stop: int, seed: int, temperature: float, truncation: float | None = None
    ) -> np.ndarray:
        """z ~ N(0, temperature^2 I), float32 `[stop - start, latent_dim]`.

        With `truncation` from the part of N(0, I) within plus and minus it, by P(|z| < r) = erf(r / √2).
        """
        z = noise.normal(start, stop, (self.latent_dim,), seed)
        if truncation is not None:
            inside = math.erf(truncation / math.sqrt(2.0)) * ops.erf(z / math.sqrt(2.0))
            z = math.sqrt(2.0) * ops.convert_to_numpy(ops.erfinv(inside))
        return temperature * z

    def measures(self) -> tuple[str, ...]:
        return (*super().measures(), "path_length")

    def decode_step(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """Images of latents."""
        return self.modality.from_network(self.generate(z, self.one_hot(labels)))
