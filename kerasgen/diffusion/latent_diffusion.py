"""Diffusion of an autoencoder's latents (Rombach et al. 2022; Vahdat et al. 2021), saved as one model."""

import warnings

import keras
import numpy as np
from keras import ops

from kerasgen import inputs
from kerasgen.autoencoders.autoencoder import Autoencoder
from kerasgen.autoencoders.variational_autoencoder import VariationalAutoencoder
from kerasgen.base import register_family, rows
from kerasgen.base.averaging import digest
from kerasgen.diffusion.denoiser import Denoiser
from kerasgen.diffusion.diffusion_model import DiffusionModel
from kerasgen.diffusion.flow_matching import FlowMatching
from kerasgen.diffusion.forecasting import DenoiserForecasting
from kerasgen.diffusion.samplers import Sampler
from kerasgen.diffusion.sampling import Numbers, SamplingOptions, Structure
from kerasgen.errors import InputError
from kerasgen.export import Part
from kerasgen.modalities import Images, Videos, modality_of
from kerasgen.networks.resolve import resolve
from kerasgen.typing import Any, ArrayLike, Callable, Labels, Logs, Seed, Sequence, Shape, Tensor, Verbose

AUTOENCODERS = (Autoencoder, VariationalAutoencoder)
CHANGED = "the autoencoder's encoder has changed since its latents were measured"
DENOISERS = {"DiffusionModel": DiffusionModel, "FlowMatching": FlowMatching}


@register_family
class LatentDiffusion(DenoiserForecasting):
    """z, the autoencoder's latents brought to mean 0 and variance 1, is modelled by diffusion or flow matching.

    The autoencoder stays as it is; the denoiser trains on z. Means and variances are those of the first examples
    that `fit` gets, standard deviations at least 1e-3.
    `encode` gives the noise that the denoiser's ODE leads to from z. Of videos z holds the latents of their frames,
    one after the other.

    Args:
        autoencoder: an `Autoencoder` or `VariationalAutoencoder`. A recipe may give its handle, which
            `kerasgen train` resolves.
        denoiser: a `DiffusionModel` or `FlowMatching` of vectors `(latent_dim,)`; its name; or a dictionary such as
            `{"class": "FlowMatching", "network": {"class": "MLP", "width": 256}}` with arguments of one.
        shape, num_classes, seed: see `BaseModel`; they must be those of the autoencoder, if it has classes.
        attributes: see `Denoiser`.
        frames: of videos, if the model is of these; the autoencoder is of their frames then.
        num_given: of the first frames; see `Denoiser`.
    """

    modalities = (Images, Videos)

    model_arguments = ("autoencoder",)
    conditional_parts = ("denoiser",)

    def __init__(
        self,
        autoencoder: Any,
        denoiser: Any = "FlowMatching",
        shape: Shape | None = None,
        num_classes: int | None = None,
        attributes: Sequence[str] | None = None,
        frames: int | None = None,
        num_given: int = 0,
        seed: int = 0,
        **kwargs: Any,
    ):
        if isinstance(autoencoder, dict):
            autoencoder = keras.saving.deserialize_keras_object(autoencoder)
        if not isinstance(autoencoder, AUTOENCODERS):
            names = " or ".join(family.__name__ for family in AUTOENCODERS)
            found = f"the name {autoencoder!r}" if isinstance(autoencoder, str) else type(autoencoder).__name__
            raise InputError(f"autoencoder is {found}; expected an {names}, for example from kerasgen.load.")
        modality = autoencoder.modality
        if frames is not None:
            modality = self._videos_of(modality, inputs.check_integer("frames", frames, 1))
        if shape is not None and modality_of(shape, self.modalities).shape != modality.shape:
            raise InputError(f"shape is {shape}; the autoencoder's is {modality.shape}.")
        super().__init__(modality.config or modality.shape, num_classes, attributes, seed, **kwargs)
        if autoencoder.num_classes not in (None, self.exclusive_classes):
            raise InputError(f"num_classes is {num_classes}; the autoencoder has {autoencoder.num_classes} classes.")
        self.autoencoder = autoencoder
        for trainable in (True, False):  # of a model that was built as not trainable, Keras would not freeze the parts
            self.autoencoder.trainable = trainable
        self.frames, self.num_given = frames, inputs.check_integer("num_given", num_given, 0)
        self.latent_dim = (frames or 1) * autoencoder.latent_dim
        self.denoiser = self._denoiser(denoiser)
        self._measured: tuple[int, int] | None = None  # digests of the encoder and of the means and variances
        self.latent_mean, self.latent_stddev = (
            self.add_weight(
                shape=(autoencoder.latent_dim,), initializer="zeros", trainable=False, name=name, dtype="float32"
            )
            for name in ("latent_mean", "latent_stddev")
        )

    @staticmethod
    def _videos_of(modality, frames):
        if modality.config is not None or not isinstance(modality, Images):
            raise InputError(f"frames is {frames}; the autoencoder is of {modality.noun}, and videos are of images.")
        return Videos((frames, *modality.shape))

    def _denoiser(self, denoiser):
        settings = {"num_classes": self.num_classes, "seed": self.seed, "dtype": self.dtype_policy}
        if self.num_given:
            if self.frames is None or self.num_given >= self.frames:
                raise InputError(f"num_given is {self.num_given}; expected less than the frames of a video.")
            settings["num_given"] = self.num_given * self.autoencoder.latent_dim
        settings |= {} if self.attributes is None else {"attributes": self.attributes}
        denoiser = resolve("denoiser", denoiser, DENOISERS, Denoiser, shape=(self.latent_dim,), **settings)
        labels = (self.num_classes, self.attributes)
        if denoiser.shape != (self.latent_dim,) or (denoiser.num_classes, denoiser.attributes) != labels:
            raise InputError(
                f"the denoiser is of shape {denoiser.shape} with {denoiser.num_classes} classes and attributes "
                f"{denoiser.attributes}; the latents need {(self.latent_dim,)}, {self.num_classes}, {self.attributes}."
            )
        return denoiser

    def default_optimizer(self) -> keras.optimizers.Optimizer:
        return self.denoiser.default_optimizer()

    def latents(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """z of images or videos, without gradient: float32 `[B, latent_dim]`."""
        num = ops.shape(images)[0]
        frames = ops.reshape(images, ((self.frames or 1) * num, *self.autoencoder.shape))
        z = (self.autoencoder.encode_step(frames, self.of_frames(labels)) - self.latent_mean) / self.spread
        return ops.stop_gradient(ops.reshape(z, (num, self.latent_dim)))

    def images(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """Images in [0, 1], or videos, of z."""
        num = ops.shape(z)[0]
        z = ops.reshape(z, ((self.frames or 1) * num, self.autoencoder.latent_dim)) * self.spread + self.latent_mean
        return ops.reshape(self.autoencoder.decode_step(z, self.of_frames(labels)), (num, *self.shape))

    def of_frames(self, labels: Any) -> Any:
        """Labels of the frames of examples, or `None` for an autoencoder without classes."""
        if labels is None or self.autoencoder.num_classes is None:
            return None
        return labels if self.frames is None else ops.repeat(labels, self.frames, axis=0)

    @property
    def spread(self) -> Tensor:
        """Standard deviations of the autoencoder's latents; 1 until they are known."""
        stddev = ops.convert_to_tensor(self.latent_stddev)
        return ops.where(stddev > 0.0, stddev, 1.0)

    @property
    def needs_initialization(self) -> bool:
        return self.stale or not ops.convert_to_numpy(self.latent_stddev).any()

    @property
    def stale(self) -> bool:
        """Whether the encoder has changed since its latents were measured, or since the model was first used."""
        found = (digest(self.autoencoder.encoder.weights), digest([self.latent_mean, self.latent_stddev]))
        if self._measured is None or found[1] != self._measured[1]:
            self._measured = found
        return found != self._measured

    def run(self, *args: Any, **kwargs: Any) -> np.ndarray:
        """As any model. Raises `InputError`: the autoencoder has changed."""
        if self.stale:
            raise InputError(f"{CHANGED}: call fit first.")
        return super().run(*args, **kwargs)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """As any model, with a warning if the autoencoder has changed."""
        if self.stale:
            warnings.warn(f"{CHANGED}, and the denoiser is of the earlier ones: call fit before save.", stacklevel=2)
        return super().save(*args, **kwargs)

    def initialize(self, x: Tensor, one_hot: Tensor | None) -> None:
        labels = self.of_frames(self.numbers(one_hot))
        frames = ops.convert_to_numpy(x).reshape(-1, *self.autoencoder.shape)
        z = self.autoencoder.encode(frames, None if labels is None else ops.convert_to_numpy(labels), verbose=0)
        self.latent_mean.assign(z.mean(axis=0))
        self.latent_stddev.assign(np.maximum(z.std(axis=0), 1e-3))
        self._measured = None

    def losses(self, x: Tensor, one_hot: Tensor | None, training: bool) -> tuple[Tensor, Logs]:
        """The denoiser's loss of each image, `[B]`."""
        return self.denoiser.losses(self.latents(x, self.numbers(one_hot)), one_hot, training)

    def numbers(self, one_hot: Tensor | None) -> Tensor | None:
        """Labels `[B]` of one-hot labels, for an autoencoder with classes."""
        return None if self.autoencoder.num_classes is None else ops.argmax(one_hot, axis=-1)

    @property
    def noise_shape(self) -> tuple[int, ...]:
        return (self.latent_dim,)

    def sampling_options(self, sampler: str | Sampler = "dpm++", **settings: Any) -> SamplingOptions:
        if settings.get("keep"):
            raise InputError("intermediates are those of latents here, which are no images; leave them out.")
        return self.denoiser.sampling_options(sampler, **settings)

    def numbers_of(self, options: SamplingOptions, begin: int = 0) -> Numbers:
        return self.denoiser.numbers_of(options, begin)

    def sample_step(
        self, key: Tensor, z: Tensor, labels: Tensor | None, low_res: None, numbers: Numbers, structure: Structure
    ) -> Tensor:
        return self.images(self.denoiser.sample_step(key, z, labels, None, numbers, structure), labels)

    def forecast_step(
        self,
        key: Tensor,
        z: Tensor,
        videos: Tensor,
        num: Tensor,
        labels: Tensor | None,
        numbers: Numbers,
        structure: Structure,
    ) -> Tensor:
        known, num = self.latents(videos, labels), num * self.autoencoder.latent_dim
        return self.images(self.denoiser.forecast_step(key, z, known, num, labels, numbers, structure), labels)

    def export_parts(self) -> dict[str, Callable[..., Part]]:
        """As of all that draw by a sampler, and the denoiser of latents."""
        return super().export_parts() | {"denoiser": self.denoiser.export_parts()["denoiser"]}

    def encode_step(self, images: Tensor, labels: Tensor | None) -> Tensor:
        return self.denoiser.encode_step(self.latents(images, labels), labels)

    def decode_step(self, z: Tensor, labels: Tensor | None) -> Tensor:
        return self.images(self.denoiser.decode_step(z, labels), labels)

    def measures(self) -> tuple[str, ...]:
        """Those of samples: what it loses of images is what the autoencoder loses, whose own figures say so."""
        of_autoencoder = ("mean_squared_error", "psnr", "ssim", "path_length")
        return tuple(name for name in super().measures() if name not in of_autoencoder)

    def anomaly_scorers(self) -> dict[str, Callable]:
        return {"likelihood": self.anomaly_score, **super().anomaly_scorers()}

    def anomaly_score(
        self, x: ArrayLike, labels: Labels = None, seed: Seed = 0, batch_size: int = 64, verbose: Verbose = "auto"
    ) -> np.ndarray:
        """-log p(z) in nats `[N]`, z the autoencoder's latents: higher is stranger."""
        x = self.modality.check(x)
        labels = self.check_labels(labels, len(x))
        z = self.run(self.latents, len(x), rows(x, labels), batch_size, verbose)
        return self.denoiser.anomaly_score(z, labels, seed=seed, batch_size=batch_size, verbose=verbose)
