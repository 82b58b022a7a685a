"""Diffusion of an autoencoder's latents (Rombach et al. 2022; Vahdat et al. 2021), saved as one model."""

import keras
import numpy as np
from keras import ops

from kerasgen import backend, inputs, noise
from kerasgen.errors import InputError
from kerasgen.autoencoders.autoencoder import Autoencoder
from kerasgen.base.model import rows
from kerasgen.diffusion.denoiser import Denoiser
from kerasgen.diffusion.diffusion_model import DiffusionModel
from kerasgen.diffusion.flow_matching import FlowMatching
from kerasgen.base.latent import LatentModel, slerp
from kerasgen.autoencoders.variational_autoencoder import VariationalAutoencoder

AUTOENCODERS = (Autoencoder, VariationalAutoencoder)
DENOISERS = {"DiffusionModel": DiffusionModel, "FlowMatching": FlowMatching}


@keras.saving.register_keras_serializable("kerasgen")
class LatentDiffusion(LatentModel):
    """z, the autoencoder's latents brought to mean 0 and variance 1, are modelled by diffusion or flow matching.

    The autoencoder stays as it is; training is that of the denoiser on z. Means and variances are those of the first
    batch of `fit`. The codes of `encode` and `decode` are the noise that the denoiser's ODE leads to from z.

    Args:
        image_shape: `(height, width, channels)` of the autoencoder, or `None`: then it is asked.
        num_classes: number of classes if class-conditional, else `None`; that of the autoencoder if it has classes.
        autoencoder: an `Autoencoder` or `VariationalAutoencoder`; or the handle of one, as `kerasgen.load` takes it.
        denoiser: a `DiffusionModel` or `FlowMatching` of vectors `(latent_dim,)`; or a dictionary such as
            `{"class": "FlowMatching", "network": {"class": "MLP", "width": 256}}` with arguments of one.
        seed: of the noise drawn in training, if the denoiser is made here.
    """

    def __init__(self, image_shape=None, num_classes=None, autoencoder=None, denoiser=None, seed=0, **kwargs):
        autoencoder = _autoencoder(autoencoder)
        if image_shape is not None and tuple(image_shape) != autoencoder.image_shape:
            raise InputError(f"image_shape is {tuple(image_shape)}; the autoencoder's is {autoencoder.image_shape}.")
        super().__init__(autoencoder.image_shape, num_classes, seed, **kwargs)
        if autoencoder.num_classes not in (None, self.num_classes):
            raise InputError(f"num_classes is {num_classes}; the autoencoder has {autoencoder.num_classes} classes.")
        self.autoencoder = autoencoder
        for trainable in (True, False):  # of a model that was built as not trainable, Keras would not freeze the parts
            self.autoencoder.trainable = trainable
        self.latent_dim = autoencoder.latent_dim
        self.denoiser = self._denoiser(denoiser)
        self.latent_mean, self.latent_stddev = (
            self.add_weight(shape=(self.latent_dim,), initializer=start, trainable=False, name=name, dtype="float32")
            for name, start in (("latent_mean", "zeros"), ("latent_stddev", "zeros"))
        )

    def _denoiser(self, denoiser):
        if isinstance(denoiser, dict) and "class" in denoiser:
            arguments = {key: value for key, value in denoiser.items() if key != "class"}
            if denoiser["class"] not in DENOISERS:
                raise InputError(f"denoiser is of class {denoiser['class']!r}; expected one of {sorted(DENOISERS)}.")
            shared = {"num_classes": self.num_classes, "seed": self.seed, "dtype": self.dtype_policy}
            try:
                denoiser = DENOISERS[denoiser["class"]]((self.latent_dim,), **shared, **arguments)
            except TypeError as error:
                raise InputError(f"denoiser does not fit: {error}") from error
        elif isinstance(denoiser, dict):
            denoiser = keras.saving.deserialize_keras_object(denoiser)
        if not isinstance(denoiser, Denoiser):
            raise InputError(
                f"denoiser is a {type(denoiser).__name__}; expected one of {sorted(DENOISERS)}, or a dict."
            )
        if denoiser.image_shape != (self.latent_dim,) or denoiser.num_classes != self.num_classes:
            raise InputError(
                f"the denoiser is of shape {denoiser.image_shape} with {denoiser.num_classes} classes; "
                f"the latents need {(self.latent_dim,)} and {self.num_classes}."
            )
        return denoiser

    def get_config(self):
        return super().get_config() | {
            "autoencoder": keras.saving.serialize_keras_object(self.autoencoder),
            "denoiser": keras.saving.serialize_keras_object(self.denoiser),
        }

    @classmethod
    def from_config(cls, config):
        if isinstance(config.get("autoencoder"), str):
            raise InputError("the config names an autoencoder instead of holding it; save the model again.")
        return super().from_config(config)

    def default_optimizer(self):
        return self.denoiser.default_optimizer()

    # Latents of the autoencoder

    def latents(self, images, labels):
        """z of images, without gradient: float32 `[B, latent_dim]`."""
        labels = labels if self.autoencoder.num_classes is not None else None
        z = self.autoencoder.encode_step(images, labels)
        return ops.stop_gradient((z - self.latent_mean) / self.spread)

    def images_of(self, z, labels):
        """Images in [0, 1] of z."""
        labels = labels if self.autoencoder.num_classes is not None else None
        return self.autoencoder.decode_step(z * self.spread + self.latent_mean, labels)

    @property
    def spread(self):
        """Standard deviations of the autoencoder's latents; 1 until the first batch."""
        stddev = ops.convert_to_tensor(self.latent_stddev)
        return ops.where(stddev > 0.0, stddev, 1.0)

    @property
    def needs_initialization(self):
        return not ops.convert_to_numpy(self.latent_stddev).any()

    def initialize(self, images, one_hot):
        labels = None if one_hot is None else ops.convert_to_numpy(ops.argmax(one_hot, axis=-1))
        conditional = self.autoencoder.num_classes is not None
        z = self.autoencoder.encode(ops.convert_to_numpy(images), labels if conditional else None, verbose=0)
        self.latent_mean.assign(z.mean(axis=0))
        self.latent_stddev.assign(np.maximum(z.std(axis=0), 1e-3))

    # Training

    def losses_of(self, data, training):
        """The denoiser's loss of each image, `[B]`."""
        images, one_hot = self.unpack(data)
        z = self.latents(images, None if one_hot is None else ops.argmax(one_hot, axis=-1))
        told = self.denoiser.told(one_hot) if training else one_hot
        return lambda: self.denoiser.image_losses(z, self.denoiser.condition(told, None), training)

    @backend.train_step
    def train_step(self, data):
        image_losses = self.losses_of(data, True)

        def loss():
            losses = image_losses()
            return ops.mean(losses), {"loss": losses}

        return self.update_metrics(**self.minimize(loss, self.trainable_variables))

    @backend.test_step
    def test_step(self, data):
        return self.update_metrics(loss=self.losses_of(data, False)())

    # Sampling and coding

    def how_drawn(self, temperature=1.0, **settings):
        return self.denoiser.how_drawn(temperature, **settings)

    def sample_step(self, key, z, labels, options):
        return self.images_of(self.denoiser.sample_step(key, z, labels, None, options), labels)

    def sample(self, num_samples, labels=None, seed=None, temperature=1.0, batch_size=64, verbose="auto", **settings):
        """Images decoded from latents that a sampler draws: float32 `[num_samples, H, W, C]` in [0, 1].

        `settings` are `sampler`, `steps`, `guidance` and `spacing` as in `Denoiser.sample`.
        """
        num_samples = inputs.check_integer("num_samples", num_samples, 1)
        labels = self.sample_labels(labels, num_samples)
        seed = noise.check_seed(seed)
        temperature = inputs.check_number("temperature", temperature, 0.0)
        options = self.denoiser.options(**settings, temperature=temperature)

        def batch(start, stop):
            z = noise.normal(start, stop, (self.latent_dim,), seed)
            return [noise.keys(start, stop, seed), z, *rows(labels)(start, stop)]

        return self.run(self.sample_step, num_samples, batch, batch_size, verbose, static=(options,))

    def draw_latents(self, start, stop, seed, temperature):
        return self.denoiser.draw_latents(start, stop, seed, temperature)

    def encode_step(self, images, labels):
        return self.denoiser.encode_step(self.latents(images, labels), labels)

    def decode_step(self, z, labels):
        return self.images_of(self.denoiser.decode_step(z, labels), labels)

    def between(self, start, stop, t):
        return slerp(start, stop, t)

    def anomaly_score(self, x, labels=None, seed=0, batch_size=64, verbose="auto"):
        """-log p(z) in nats `[N]`, of the autoencoder's latents: higher is stranger."""
        x = self.check_images(x)
        labels = self.check_labels(labels, len(x))
        z = self.run(self.latents, len(x), rows(x, labels), batch_size, verbose)
        return self.denoiser.anomaly_score(z, labels, seed, batch_size=batch_size, verbose=verbose)


def _autoencoder(autoencoder):
    if isinstance(autoencoder, str):
        from kerasgen.hub import load  # the zoo loads models: imported here, not at the top

        autoencoder = load(autoencoder)
    if isinstance(autoencoder, dict):
        autoencoder = keras.saving.deserialize_keras_object(autoencoder)
    if not isinstance(autoencoder, AUTOENCODERS):
        names = " or ".join(family.__name__ for family in AUTOENCODERS)
        raise InputError(f"autoencoder is a {type(autoencoder).__name__}; expected an {names}, or the handle of one.")
    return autoencoder
