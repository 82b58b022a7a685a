"""Autoencoder with discrete latents, which compresses images to few bytes (van den Oord et al. 2017)."""

import math

import keras
import numpy as np
from keras import ops
from keras.random import uniform

from kerasgen import inputs, tiles
from kerasgen.autoencoders import streams
from kerasgen.autoencoders.code_model import CodeCoder, CodeModel
from kerasgen.autoencoders.perceptual import PerceptualModel
from kerasgen.autoencoders.quantizers import QUANTIZERS, Quantizer
from kerasgen.base import FAMILIES, Exhibit, GenerativeModel, ReconstructingModel, register_family, rows, written
from kerasgen.errors import InputError
from kerasgen.export import ROWS, Part
from kerasgen.modalities import Tokens, to_numpy
from kerasgen.networks import resolve
from kerasgen.recipes import Evaluation
from kerasgen.typing import (
    Any,
    Array,
    ArrayLike,
    Callable,
    Config,
    Labels,
    Logs,
    Seed,
    Sequence,
    Shape,
    Tensor,
    Verbose,
)

KIND = 1  # of its streams


@register_family
class VQVAE(PerceptualModel, ReconstructingModel, GenerativeModel):
    """Codes c = q(encoder(x)) on a grid, and x' = sigmoid(decoder(e_c)).

    The loss is ||x - x'||^2 + commitment ||z - e_c||^2 - log p(c), sums over an image, z being the encoder's outputs. p
    is a `CodeModel`, which learns beside the rest, and moves nothing but itself: it makes bytes of codes.
    `compile(perceptual=PerceptualDistance(classifier))` adds a distance in what a classifier sees.

    With a `prior`, a model of sequences that learns the codes row by row, and their classes if there are any, it draws
    images, too. It learns beside the rest as p does.

    Args:
        shape, num_classes, seed: see `BaseModel`; classes are the prior's.
        code_shape: rows and columns of codes.
        quantizer: "vector" (the nearest of learned vectors), or "finite_scalar" (values rounded to a few levels), or a
            dictionary with one as "class" and arguments: `{"class": "vector", "num_codes": 256, "dim": 16}`,
            `{"class": "finite_scalar", "levels": [8, 6, 5]}`.
        encoder: a name from `kerasgen.networks.ENCODERS`, a dictionary with it as "class" and arguments, or a Keras
            layer from images `[B, H, W, C]` in [-1, 1] to `[B, h w D]`, a vector for each code, row by row.
        decoder: likewise, from `kerasgen.networks.DECODERS`, from `[B, h w D]` to `[B, H, W, C]`.
        width: of networks given by name.
        commitment: weight of the distance of z from its vectors.
        context_width: of the hidden layers of p.
        prior: `None`; "AutoregressiveTransformer" or "MaskedDiffusion"; a dictionary with one as "class" and arguments,
            such as `{"class": "MaskedDiffusion", "network": {"class": "Transformer", "width": 128}}`; or such a model
            of sequences of h w tokens.
    """

    loss_names: tuple[str, ...] = ("loss", "mean_squared_error", "bits_per_pixel")
    called = "reconstruct"
    conditional_parts = ("prior",)
    of_any_size = ("compress",)

    def __init__(
        self,
        shape: Shape = (28, 28, 1),
        code_shape: Sequence[int] = (7, 7),
        quantizer: Any = "vector",
        encoder: Any = "spatial",
        decoder: Any = "spatial",
        width: int = 32,
        commitment: float = 0.25,
        context_width: int = 128,
        num_classes: int | None = None,
        prior: Any = None,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(shape, num_classes, seed, **kwargs)
        if not isinstance(code_shape, (list, tuple)) or len(code_shape) != 2:
            raise InputError(f"code_shape is {code_shape!r}; expected (rows, columns).")
        height, width_ = (inputs.check_integer("code_shape", side, 1) for side in code_shape)
        self.code_shape = (height, width_)
        self.width = width
        self.commitment = inputs.check_number("commitment", commitment, 0.0)
        self.context_width = inputs.check_integer("context_width", context_width, 1)
        self.keep(quantizer=quantizer, encoder=encoder, decoder=decoder)
        self.quantizer = resolve.resolve("quantizer", quantizer, QUANTIZERS, Quantizer)
        self.num_codes = self.quantizer.num_codes
        size = height * width_ * self.quantizer.dim
        self.encoder = resolve.encoder(encoder, self.shape, size, width, self.dtype_policy)
        self.decoder = resolve.decoder(decoder, size, self.shape, width, self.dtype_policy)
        self.code_model = CodeModel(self.num_codes, self.code_shape, self.context_width)
        self.prior = None
        if prior is not None:
            self.keep(prior=prior)
            self.prior = self._prior(prior)
            self.loss_names = (*self.loss_names, "prior_bits_per_pixel")
            self.trackers.append(keras.metrics.Mean(name=self.loss_names[-1], dtype="float32"))
        elif num_classes is not None:
            raise InputError(f"num_classes is {num_classes}, but there is no prior, which alone would know classes.")

    def _prior(self, prior):
        of_tokens = (item for item in FAMILIES.items() if item[1].modalities == (Tokens,))
        known = {name: family for name, family in of_tokens if not issubclass(family, ReconstructingModel)}
        settings = {"vocabulary": self.num_codes, "num_classes": self.num_classes, "seed": self.seed}
        settings |= {"shape": (self.num_places,), "dtype": self.dtype_policy}
        prior = resolve.resolve("prior", prior, known, GenerativeModel, **settings)
        fits = type(prior) in known.values() and prior.modality.end is None
        tokens = prior.modality.num_tokens if fits else None
        found = prior.shape, tokens, prior.num_classes
        if found != (expected := ((self.num_places,), self.num_codes, self.num_classes)):
            raise InputError(f"the prior is of shape, tokens and classes {found}; the codes need {expected}.")
        return prior

    @property
    def num_places(self) -> int:
        """Codes of an image."""
        return math.prod(self.code_shape)

    def vectors(self, images: Tensor, training: bool = False) -> Tensor:
        """z `[B, h w, D]` of images in [0, 1]."""
        z = ops.cast(self.encoder(self.modality.to_network(images), training=training), "float32")
        return ops.reshape(z, (ops.shape(z)[0], self.num_places, self.quantizer.dim))

    def images(self, quantized: Tensor, training: bool = False) -> Tensor:
        """Images in [0, 1] of vectors `[B, h w, D]`."""
        flat = ops.reshape(quantized, (ops.shape(quantized)[0], self.num_places * self.quantizer.dim))
        return ops.sigmoid(ops.cast(self.decoder(flat, training=training), "float32"))

    def losses(self, x: Tensor, one_hot: Tensor | None, training: bool) -> tuple[Tensor, Logs]:
        """The loss above of each image, `[B]`.

        In training it also moves the codes, whatever an example's weight, unless the quantizer is frozen.
        """
        z = self.vectors(x, training)
        quantized, codes, distance = self.quantizer(z)
        images = self.images(quantized, training)
        if training and self.quantizer.trainable:
            u = uniform((self.num_codes,), dtype="float32", seed=self.seed_generator)  # alike on all replicas
            self.quantizer.update(z, codes, u)
        error = ops.mean(ops.square(x - images), axis=(1, 2, 3))
        nats = -self.code_model.log_prob(codes)
        losses = self.num_dims * error + self.commitment * distance + nats
        losses = self.with_perceptual(losses, x, images)
        to_bits = 1.0 / (math.log(2.0) * math.prod(self.shape[:2]))
        logs = {"mean_squared_error": error, "bits_per_pixel": to_bits * nats}
        if self.prior is not None:
            of_prior = self.num_places * self.prior.losses(codes, one_hot, training)[0]  # of nats a code
            losses = losses + of_prior
            logs[self.loss_names[-1]] = to_bits * of_prior
        return losses, {"loss": losses, **logs}

    @property
    def needs_initialization(self) -> bool:
        return self.quantizer.waits_for_data

    def initialize(self, x: Tensor, one_hot: Tensor | None) -> None:
        images = ops.convert_to_numpy(x)
        z = self.run(self.vectors_step, len(images), rows(images), verbose=0)
        self.quantizer.start_from(z.reshape(-1, self.quantizer.dim), self.seed)

    def call(self, images: Tensor, training: bool = False) -> Tensor:
        """Reconstructions in [0, 1]."""
        return self.reconstruct_step(images, None)

    def vectors_step(self, images: Tensor) -> Tensor:
        return self.vectors(self.modality.scale(images))

    def encode_step(self, images: Tensor) -> Tensor:
        return self.quantizer.codes_of(self.vectors_step(images))

    def decode_step(self, codes: Tensor) -> Tensor:
        return self.images(self.quantizer.vectors_of(codes))

    def reconstruct_step(self, images: Tensor, labels: None) -> Tensor:
        return self.decode_step(self.encode_step(images))

    def reconstruct(
        self, x: ArrayLike, labels: Any = None, batch_size: int = 64, verbose: Verbose = "auto"
    ) -> np.ndarray:
        """`decode(encode(x))`, float32 `[N, H, W, C]` in [0, 1]; labels change nothing."""
        x = self.modality.check(x)
        return self.run(self.reconstruct_step, len(x), rows(x, None), batch_size, verbose)

    def encode(self, x: ArrayLike, batch_size: int = 64, verbose: Verbose = "auto") -> np.ndarray:
        """Codes, int32 `[N, h, w]`."""
        x = self.modality.check(x)
        codes = self.run(self.encode_step, len(x), rows(x), batch_size, verbose)
        return codes.astype(np.int32).reshape(-1, *self.code_shape)

    def decode(self, codes: ArrayLike, batch_size: int = 64, verbose: Verbose = "auto") -> np.ndarray:
        """Images of codes `[N, h, w]`, float32 `[N, H, W, C]` in [0, 1]."""
        codes = to_numpy("codes", codes)
        if codes.dtype.kind not in "iu" or codes.shape[1:] != self.code_shape or len(codes) == 0:
            found = f"codes have dtype {codes.dtype} and shape {codes.shape}"
            raise InputError(f"{found}; expected integers [N, {', '.join(map(str, self.code_shape))}].")
        if codes.min() < 0 or codes.max() >= self.num_codes:
            raise InputError(f"codes range over {codes.min()} to {codes.max()}; expected 0 to {self.num_codes - 1}.")
        flat = codes.astype(np.int32).reshape(len(codes), -1)
        return self.run(self.decode_step, len(codes), rows(flat), batch_size, verbose)

    def anomaly_score(self, x: ArrayLike, batch_size: int = 64, verbose: Verbose = "auto") -> np.ndarray:
        """Mean squared reconstruction error `[N]`: higher is stranger."""
        return self.reconstruction_error(x, batch_size=batch_size, verbose=verbose)

    # Sampling

    @property
    def offers(self) -> tuple[str, ...]:
        return tuple(verb for verb in super().offers if verb != "sample" or self.prior is not None)

    def sampling_config(self, temperature: float = 1.0, **settings: Any) -> Config | None:
        if self.prior is None and not settings:
            return None
        return self.check_prior().sampling_config(temperature, **settings)

    def check_prior(self) -> GenerativeModel:
        """The prior. Raises `InputError`: the model was built without."""
        if self.prior is None:
            raise InputError("this VQVAE has no prior over its codes to draw from; build it with one.")
        return self.prior

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
        top_k: int | None = None,
        top_p: float = 1.0,
        steps: int | None = None,
        guidance: float = 1.0,
    ) -> np.ndarray:
        """Images of codes that the prior draws, float32 `[num_samples, H, W, C]` in [0, 1].

        Arguments as of the prior's `sample`; `steps` and `guidance` are of `MaskedDiffusion`.
        """
        given = {"top_k": top_k, "top_p": top_p} | ({} if steps is None else {"steps": steps})
        given |= {} if guidance == 1.0 else {"guidance": guidance}
        codes = self.check_prior().sample(num_samples, labels, seed, temperature, batch_size, verbose, **given)
        return self.decode(codes.reshape(-1, *self.code_shape), batch_size, verbose)

    # Compression

    def digest(self) -> bytes:
        """What tells the models apart that read one another's streams from those that do not."""
        return streams.digest_of([*self.decoder.weights, *self.quantizer.weights, *self.code_model.weights])

    def compress(self, x: ArrayLike, batch_size: int = 64, verbose: Verbose = "auto") -> bytes:
        """Images `[N, H, W, C]` of any sides as bytes: the codes of tiles of the model's shape, by a range coder.

        Of a model of sounds these may be sounds `[N, num_samples]` of any length, or their spectrograms.
        """
        x = self.modality.check_any_size(x)
        streams.num_values(x.shape, self.shape)  # refuses what is too much
        pieces = tiles.cut(x, self.shape[:2])
        codes = self.encode(pieces, batch_size, verbose).reshape(len(pieces), -1)
        payload = CodeCoder(self.code_model).encode(codes)
        return streams.Stream(KIND, self.digest(), x.shape, payload).pack(self.shape)

    def decompress(self, data: bytes, batch_size: int = 64, verbose: Verbose = "auto") -> np.ndarray:
        """Images `[N, H, W, C]` of what `compress` gave. Raises `InputError` for anything else."""
        stream = streams.unpack(data, KIND, self.digest(), self.shape)
        num, height, width, _ = stream.shape
        codes = CodeCoder(self.code_model).decode(stream.payload, num * tiles.number((height, width), self.shape[:2]))
        pieces = self.decode(codes.reshape(-1, *self.code_shape), batch_size, verbose)
        return tiles.join(pieces, (height, width))

    # What it says of itself

    def export_parts(self) -> dict[str, Callable[..., Part]]:
        """ "encoder" to codes, "decoder" from codes, "whole": the reconstruction."""
        given, codes = self.trial(self.modality), np.arange(ROWS * self.num_places, dtype=np.int32) % self.num_codes
        return {
            "encoder": lambda: Part(self.encode_step, given, "codes"),
            "decoder": lambda: Part(self.decode_step, {"codes": codes.reshape(ROWS, -1)}, self.modality.noun),
            "whole": lambda: Part(lambda images: self.reconstruct_step(images, None), given, "reconstructions"),
        }

    @property
    def task(self) -> str:
        """The nearest of the Hub's."""
        return "image-to-image" if self.prior is None else "unconditional-image-generation"

    @property
    def shows_examples(self) -> bool:
        return self.prior is None

    def measures(self) -> tuple[str, ...]:
        sampled = () if self.prior is None else super().measures()
        return ("mean_squared_error", "psnr", "ssim", "rate", "codebook_usage", *sampled)

    def exhibit(self, examples: Array | None, labels: Array | None, settings: Evaluation) -> list[Exhibit]:
        reconstructions = self.reconstructions(examples, None, settings.split)
        if self.prior is None or settings.picture == "reconstructions":
            return [reconstructions]
        return [*super().exhibit(examples, labels, settings), reconstructions]

    def snippet(self, handle: str, drawing: Config | None = None) -> str:
        drawn, classes = "", ", labels" if self.num_classes else ""
        noun, range_note = self.modality.noun, self.modality.range_note
        if self.prior is not None:
            arguments = self.written_labels("0") + written(drawing)
            drawn = (
                f"drawn = model.sample(16{arguments})  # float32 [16, {', '.join(map(str, self.shape))}]{range_note}\n"
            )
        return f"""import kerasgen
import numpy as np

model = kerasgen.load("{handle}")
{drawn}{self.modality.example}, of any size
data = model.compress({noun})  # bytes
again = model.decompress(data)  # float32{range_note}
model.compile()  # then fine-tune: model.fit({noun}{classes})"""
