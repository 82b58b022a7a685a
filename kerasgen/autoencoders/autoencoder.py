"""Autoencoder, with a density of its latents to sample from."""

import math
import zlib

import keras
import numpy as np
from keras import ops

from kerasgen import inputs, noise
from kerasgen.autoencoders import streams
from kerasgen.autoencoders.corruption import amounts, check_corruption, corrupt, corrupted, halfway
from kerasgen.autoencoders.mixture import fit_mixture
from kerasgen.autoencoders.perceptual import PerceptualModel
from kerasgen.base import (
    SHOWN,
    Exhibit,
    LatentModel,
    RowSettings,
    below_each_other,
    mean_of_each,
    register_family,
    rows,
)
from kerasgen.errors import InputError
from kerasgen.export import ROWS, Part
from kerasgen.modalities import Images, NoisyImages, Vectors, Videos
from kerasgen.networks import resolve
from kerasgen.recipes import Evaluation
from kerasgen.typing import Any, ArrayLike, Callable, Config, Logs, Shape, Tensor, Verbose

KIND = 0  # of its streams


@register_family
class Autoencoder(PerceptualModel, LatentModel):
    """z = encoder(x) and x' = sigmoid(decoder(z)); the loss is ||x - x'||^2 + latent_penalty ||z||^2 / 2.

    Of vectors x' = decoder(z).

    `compile(perceptual=PerceptualDistance(classifier))` adds a distance in what a classifier sees, which stays sharp.
    With a `corruption` the encoder reads x with noise, and the model learns to remove it (Vincent et al. 2008);
    `fit(noisy, clean)` trains it on pairs of your own. A Gaussian mixture fitted to the latents of the training set
    (`fit_density`, kept in the checkpoint) makes it a generative model (Ghosh et al. 2020, "From variational to
    deterministic autoencoders": RAE-L2 with ex-post density estimation).
    Each step of training moves the latents and so takes the density away: call `fit_density` after `fit`.

    Args:
        shape, seed: see `BaseModel`.
        latent_dim: number of latents.
        encoder: a name from `kerasgen.networks.ENCODERS`, a dictionary with it as "class" and arguments, or a Keras
            layer from images `[B, H, W, C]` in [-1, 1] to `[B, latent_dim]`; by default "conv", of vectors "dense", of
            videos "frames".
        decoder: likewise, from `kerasgen.networks.DECODERS`, from `[B, latent_dim]` to `[B, H, W, C]`.
        width: of networks given by name.
        corruption: of what the encoder reads in training, on the scale of [0, 1]: `{"class": "gaussian", "stddev":
            0.1}`, `{"class": "masking", "rate": 0.3}` (pixels are 0) or `{"class": "salt_and_pepper", "rate": 0.1}`
            (pixels are 0 or 1); of a range `[least, greatest]` an amount is drawn for each image.
        latent_penalty: weight of the squared norm of latents, beside the squared error summed over pixels.
        num_components: of the Gaussian mixture over latents; 0 or `None` for no density: such a model does not sample.
    """

    modalities = (Images, Vectors, Videos)
    loss_names = ("loss", "mean_squared_error")
    called = "reconstruct"

    def __init__(
        self,
        shape: Shape = (28, 28, 1),
        latent_dim: int = 32,
        encoder: Any = None,
        decoder: Any = None,
        width: int = 32,
        corruption: Config | None = None,
        latent_penalty: float = 1e-2,
        num_components: int | None = 10,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(shape, None, seed, **kwargs)
        self.latent_dim = inputs.check_integer("latent_dim", latent_dim, 1)
        self.width = width
        self.corruption = check_corruption(corruption, self.vectors)
        self.latent_penalty = inputs.check_number("latent_penalty", latent_penalty, 0.0)
        self.num_components, self.density = num_components, None
        encoder, decoder = (network or resolve.CODERS[len(self.shape)] for network in (encoder, decoder))
        self.keep(encoder=encoder, decoder=decoder)
        self.encoder = resolve.encoder(encoder, self.shape, self.latent_dim, width, self.dtype_policy)
        self.decoder = resolve.decoder(decoder, self.latent_dim, self.shape, width, self.dtype_policy)
        if num_components is not None and inputs.check_integer("num_components", num_components, 0):
            self.density = MixtureDensity(self.num_components, self.latent_dim, name="density")

    @classmethod
    def from_config(cls, config: Config, custom_objects: Any = None) -> "Autoencoder":
        """As of any model; checkpoints of before corruptions name the Gaussian one's `noise_stddev`."""
        if "noise_stddev" in config:
            stddev = config["noise_stddev"]
            corruption = {"class": "gaussian", "stddev": stddev} if stddev else None
            config = {key: value for key, value in config.items() if key != "noise_stddev"} | {"corruption": corruption}
        return super().from_config(config, custom_objects)

    def latents(self, images: Tensor, training: bool = False) -> Tensor:
        """Images in [0, 1] to latents `[B, latent_dim]`."""
        return ops.cast(self.encoder(self.with_label_planes(images, None), training=training), "float32")

    def images(self, z: Tensor, training: bool = False) -> Tensor:
        """Latents to images in [0, 1], or to vectors."""
        x = ops.cast(self.decoder(z, training=training), "float32")
        return x if self.vectors else ops.sigmoid(x)

    def check_targets(self, x: np.ndarray, y: Any) -> np.ndarray | None:
        """Examples to reconstruct in place of x, or `None`; labels are left out."""
        if y is None or np.ndim(y) < x.ndim or (self.vectors and np.shape(y)[1:] == (1,) != self.shape):
            return None
        if len(y) != len(x):
            raise InputError(f"x has {len(x)} images and y {len(y)}; expected as many of each.")
        return self.modality.check(y)

    def scale_targets(self, y: Tensor | None) -> Tensor | None:
        return self.modality.scale(y) if y is not None and tuple(y.shape)[1:] == self.shape else None

    def losses(self, x: Tensor, target: Tensor | None, training: bool) -> tuple[Tensor, Logs]:
        """The loss above of each example, `[B]`, with the reconstruction to come near `target`, or x."""
        target, corrupted = x if target is None else target, x
        if training and self.corruption is not None:
            corrupted = corrupt(self.corruption, x, self.normal, self.uniform)
        if training and self.density is not None:
            self.density.forget()  # it is of the latents before this step
        z = self.latents(corrupted, training)
        images = self.images(z, training)
        error = mean_of_each(ops.square(target - images))  # [B]
        losses = self.num_dims * error + 0.5 * self.latent_penalty * ops.sum(ops.square(z), axis=1)  # [B]
        losses = self.with_perceptual(losses, target, images)
        return losses, {"loss": losses, "mean_squared_error": error}

    def call(self, images: Tensor, training: bool = False) -> Tensor:
        """Reconstructions in [0, 1]."""
        return self.images(self.latents(self.modality.scale(images), training), training)

    def fit_density(self, x: ArrayLike, batch_size: int = 64, verbose: Verbose = "auto") -> None:
        """Fits the Gaussian mixture to the latents of the images `x`, for `sample`."""
        density = self.check_density()
        x = self.modality.check(x)
        if len(x) <= self.latent_dim:
            raise InputError(
                f"fit_density got {len(x)} images; a density over {self.latent_dim} latents needs at least "
                f"{self.latent_dim + 1}."
            )
        density.assign(*fit_mixture(self.encode(x, None, batch_size, verbose), self.num_components, self.seed))

    def check_density(self) -> "MixtureDensity":
        """The density over latents. Raises `InputError`: the model was built without."""
        if self.density is None:
            told = f"num_components is {self.num_components}"
            raise InputError(f"this autoencoder has no density over its latents ({told}) to draw from.")
        return self.density

    def prepare_sampling(self, x: ArrayLike) -> None:
        """Fits the density to the latents of the training images, if there is one."""
        if self.density is not None:
            self.fit_density(x)

    def draw_latents(self, start: int, stop: int, seed: int, temperature: float) -> np.ndarray:
        """z from the fitted mixture, float32 `[stop - start, latent_dim]`; `temperature` scales its components."""
        return self.check_density().draw(start, stop, seed, temperature)

    def encode_step(self, images: Tensor, labels: Tensor | None) -> Tensor:
        return self.latents(self.modality.scale(images))

    def decode_step(self, z: Tensor, labels: Tensor | None) -> Tensor:
        return self.images(z)

    def export_parts(self) -> dict[str, Callable[..., Part]]:
        parts = super().export_parts() | {"sampler": self.sampler_part}
        if self.density is None:
            del parts["sampler"]
        return parts

    def sampler_part(self) -> Part:
        """From a normal and a uniform number to an image, as `sample`."""
        self.density.check_fitted()
        drawn = noise.normal(0, ROWS, (self.latent_dim,), 0), noise.uniform(0, ROWS, (1,), 0, stream=1)
        given = {"noise": drawn[0], "uniform": drawn[1].astype(np.float32)}
        return Part(lambda e, u: self.images(self.density.transform(e, u)), given, self.modality.noun)

    @classmethod
    def for_rows(cls, num_columns: int) -> RowSettings:
        latents = max(1, min(8, num_columns // 2))
        return RowSettings({"latent_dim": latents, "width": 64, "num_components": 0}, "reconstruction", 0.0)

    # Without a density it only encodes and decodes

    @property
    def shows_examples(self) -> bool:
        return self.density is None

    @property
    def noise_range(self) -> tuple[float, float] | None:
        """Least and greatest standard deviation of the Gaussian noise of its corruption, if that is its kind."""
        gaussian = self.corruption is not None and self.corruption["class"] == "gaussian"
        return amounts(self.corruption["stddev"]) if gaussian else None

    def measures(self) -> tuple[str, ...]:
        if self.density is not None:
            return super().measures()
        return ("mean_squared_error", "psnr", "ssim", *(("denoising",) if self.noise_range else ()))

    def exhibit(self, examples: np.ndarray | None, labels: np.ndarray | None, settings: Evaluation) -> list[Exhibit]:
        if self.density is not None:
            return super().exhibit(examples, labels, settings)
        if self.corruption is None or self.vectors:
            return [self.reconstructions(examples, None, settings.split)]
        (_, kind), (name, amount) = (spec := halfway(self.corruption)).items()

        def pairs():
            clean = self.modality.to_float(self.modality.check(examples[:SHOWN]))
            noisy = np.clip(corrupted(spec, clean, settings.seed), 0.0, 1.0)
            return below_each_other([noisy, self.denoise(noisy, verbose=0)], columns)

        columns = self.modality.columns(SHOWN if examples is None else min(SHOWN, len(examples)))
        noise_of = f"noise ({kind.replace('_', ' ')}, {name} {amount:g})"
        caption = f"Images of {settings.split} with {noise_of}; below, what the model makes of them."
        return [Exhibit(pairs, columns, caption)]

    def snippet(self, handle: str, drawing: Config | None = None) -> str:
        if self.density is not None:
            return super().snippet(handle, drawing)
        noun = self.modality.noun
        return f"""import kerasgen
import numpy as np

model = kerasgen.load("{handle}")
{self.modality.example}
z = model.encode({noun})  # float32 [16, {self.latent_dim}]
again = model.decode(z)  # float32 in [0, 1]
model.compile()  # then fine-tune: model.fit({noun})"""

    def denoise(self, x: ArrayLike, batch_size: int = 64, verbose: Verbose = "auto") -> np.ndarray:
        """Images with their noise removed: the reconstructions of a model trained with a `corruption`.

        Images are uint8 or float in [0, 1], or around it where the corruption is Gaussian. The network finds by itself
        how strong the noise is.
        """
        if self.corruption is None:
            raise InputError("this autoencoder was trained without noise; build it with a corruption to denoise.")
        images = self.noise_range is not None and not self.vectors
        x = (NoisyImages(self.shape, self.noise_range[1]) if images else self.modality).check(x)
        return self.run(self.reconstruct_step, len(x), rows(x, None), batch_size, verbose)

    def anomaly_score(self, x: ArrayLike, batch_size: int = 64, verbose: Verbose = "auto") -> np.ndarray:
        """Mean squared reconstruction error `[N]`: higher is stranger."""
        return self.reconstruction_error(x, batch_size=batch_size, verbose=verbose)

    def digest(self) -> bytes:
        """What tells the models apart that read one another's streams from those that do not."""
        return streams.digest_of(self.decoder.weights)

    @property
    def picture_shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)` of an example in a stream; a vector is `(1, 1, D)`, a video `(T H, W, C)`."""
        *above, width, channels = (1, 1, *self.shape)
        return math.prod(above), width, channels

    def compress(self, x: ArrayLike, bits: int = 8, batch_size: int = 64, verbose: Verbose = "auto") -> bytes:
        """Images as bytes: latents, each rounded to `bits` (1 to 8) between its least and greatest value, deflated."""
        x = self.modality.check(x)
        if not 1 <= inputs.check_integer("bits", bits, 1) <= 8:
            raise InputError(f"bits is {bits}; expected 1 to 8.")
        tile = self.picture_shape
        streams.num_values((len(x), *tile), tile)  # refuses what is too much
        z = self.encode(x, None, batch_size, verbose)
        low, high = z.min(axis=0), z.max(axis=0)
        step = np.where(high > low, (high - low) / (2**bits - 1), 1.0).astype("<f4")
        codes = np.rint((z - low) / step).astype(np.uint8)
        payload = zlib.compress(low.astype("<f4").tobytes() + step.tobytes() + codes.tobytes(), 9)
        return streams.Stream(KIND, self.digest(), (len(z), *tile), payload).pack(tile)

    def decompress(self, data: bytes, batch_size: int = 64, verbose: Verbose = "auto") -> np.ndarray:
        """Images `[N, H, W, C]` from what `compress` gave. Raises `InputError` for anything else."""
        tile = self.picture_shape
        stream = streams.unpack(data, KIND, self.digest(), tile)
        num, dim = stream.shape[0], self.latent_dim
        if stream.shape[1:] != tile:
            raise InputError(f"the data has images of shape {stream.shape[1:]}; {streams.EXPECTED}.")
        try:
            payload = zlib.decompressobj().decompress(stream.payload, dim * (8 + num))
        except zlib.error as error:
            raise InputError(f"the data cannot be decompressed ({error}); {streams.EXPECTED}.") from error
        if len(payload) != dim * (8 + num):
            raise InputError(f"the data holds {len(payload)} bytes for {num} images; {streams.EXPECTED}.")
        low, step = np.frombuffer(payload[: 8 * dim], "<f4").reshape(2, dim)
        codes = np.frombuffer(payload[8 * dim :], np.uint8).reshape(num, dim)
        return self.decode(low + step * codes, None, batch_size, verbose)


@keras.saving.register_keras_serializable("kerasgen")
class MixtureDensity(keras.layers.Layer):
    """The weights of a Gaussian mixture over latents, in the checkpoint; those of components are zero until fitted."""

    def __init__(self, num_components: int, latent_dim: int, **kwargs: Any):
        super().__init__(**kwargs)
        shapes = {
            "mixture_weights": (num_components,),
            "means": (num_components, latent_dim),
            "factors": (num_components, latent_dim, latent_dim),
        }
        for name, shape in shapes.items():
            weight = self.add_weight(shape=shape, initializer="zeros", trainable=False, name=name, dtype="float32")
            setattr(self, name, weight)
        self.built = True

    def assign(self, weights: np.ndarray, means: np.ndarray, factors: np.ndarray) -> None:
        self.mixture_weights.assign(weights)
        self.means.assign(means)
        self.factors.assign(factors)

    def forget(self) -> None:
        """Takes the density back, within a step of training."""
        self.mixture_weights.assign(ops.zeros(self.mixture_weights.shape, "float32"))

    def check_fitted(self) -> None:
        """Raises `InputError`: before `assign`."""
        if not ops.convert_to_numpy(self.mixture_weights).any():
            raise InputError(
                "no density has been fitted to the latents, or training has changed them since: call "
                "fit_density(images of the training set) before sample."
            )

    def transform(self, normal: Tensor, u: Tensor) -> Tensor:
        """z of normal numbers `[B, latent_dim]` and uniform ones `[B, 1]`, as `draw` takes them."""
        edges = ops.cumsum(ops.convert_to_tensor(self.mixture_weights))
        k = ops.sum(ops.cast(u * edges[-1] > edges[:-1], "int32"), axis=1)
        factors = ops.take(ops.convert_to_tensor(self.factors), k, axis=0)
        return ops.take(ops.convert_to_tensor(self.means), k, axis=0) + ops.einsum("nij,nj->ni", factors, normal)

    def draw(self, start: int, stop: int, seed: int, temperature: float) -> np.ndarray:
        """z `[stop - start, latent_dim]`, float32. Raises `InputError` before `assign`."""
        self.check_fitted()
        weights, means, factors = map(ops.convert_to_numpy, (self.mixture_weights, self.means, self.factors))
        edges = np.cumsum(weights, dtype=np.float64)
        u = edges[-1] * noise.uniform(start, stop, (1,), seed, stream=1)[:, 0]
        k = np.minimum(np.searchsorted(edges, u), len(edges) - 1)
        normal = noise.normal(start, stop, means.shape[1:], seed)
        return means[k] + temperature * np.einsum("nij,nj->ni", factors[k], normal)
