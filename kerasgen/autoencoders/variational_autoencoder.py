"""Variational autoencoder (Kingma and Welling 2014, "Auto-encoding variational Bayes")."""

import math

import numpy as np
from keras import ops

from kerasgen import backend, inputs, noise, tiles
from kerasgen.autoencoders import streams
from kerasgen.autoencoders.bits_back import BitsBackCoder
from kerasgen.autoencoders.distributions import DISTRIBUTIONS
from kerasgen.base import LatentModel, LikelihoodModel, RowSettings, mean_of_each, register_family, rows
from kerasgen.errors import InputError
from kerasgen.modalities import Images, Vectors, Videos, to_numpy
from kerasgen.networks import resolve
from kerasgen.typing import Any, ArrayLike, Config, Labels, Logs, Seed, Shape, Tensor, Verbose

CHUNK = 16  # importance samples at once
KIND = 2  # of its streams


def with_free_bits(kl: Tensor, free_bits: float) -> Tensor:
    """Costs `[B, latent_dim]` whose mean over the global batch is max(free_bits, mean of KL_j).

    The mean of where(mean of KL_j > free_bits, KL_j, free_bits) is that maximum, and so is its gradient.
    """
    if not free_bits:
        return kl
    total = backend.replica_sum(ops.sum(kl, axis=0))
    num = ops.cast(backend.replica_rows(ops.shape(kl)[0])[1], "float32")
    return ops.where(ops.stop_gradient(total / num) > free_bits, kl, free_bits)


def warmed_up(steps_trained: Any, warmup_steps: int) -> Any:
    """What rises linearly to 1 over the warm-up; 1 without one."""
    if not warmup_steps:
        return 1.0
    return ops.minimum(1.0, (ops.cast(steps_trained, "float32") + 1.0) / warmup_steps)


@register_family
class VariationalAutoencoder(LikelihoodModel, LatentModel):
    """z ~ N(0, I), x ~ p(x | z), and q(z | x) = N(mean(x), exp(log_variance(x))) learned together.

    The loss is, in nats per image, E_q[-log p(x | z)] + beta KL(q(z | x) || N(0, I)).

    Args:
        shape, num_classes, seed: see `BaseModel`.
        latent_dim: number of latents.
        encoder: a name from `kerasgen.networks.ENCODERS`, a dictionary with it as "class" and arguments, or a Keras
            layer from images `[B, H, W, C]` in [-1, 1] to `[B, 2 * latent_dim]`, mean and log-variance. With classes it
            reads `C + num_classes` channels, the label as one-hot planes. By default "conv", of vectors "dense", of
            videos "frames".
        decoder: likewise, from `kerasgen.networks.DECODERS`, from `[B, latent_dim]` (with classes
            `[B, latent_dim + num_classes]`, the label one-hot) to `[B, H, W, C * k]`, where k is 1, 2 for
            "discretized_logistic" and 9 for "discretized_logistic_mixture".
        width: of networks given by name.
        decoder_distribution: "bernoulli" (the default), "gaussian" (with a learned scale; of vectors always) or
            "discretized_logistic", or "discretized_logistic_mixture" of three.
        beta: weight of the KL divergence (Higgins et al. 2017); 1 is the evidence lower bound.
        free_bits: nats a latent may cost for nothing: the KL term is sum_j max(free_bits, mean over the batch of KL_j)
            (Kingma et al. 2016, section C.8, each latent a group).
        kl_warmup_steps: steps over which beta rises linearly from 0 (Sønderby et al. 2016).
    """

    loss_names = ("loss", "reconstruction_loss", "kl_divergence", "mean_squared_error")
    modalities = (Images, Vectors, Videos)
    likelihood = "bound"
    of_any_size = ("compress",)

    def __init__(
        self,
        shape: Shape = (28, 28, 1),
        latent_dim: int = 32,
        encoder: Any = None,
        decoder: Any = None,
        width: int = 32,
        decoder_distribution: str | None = None,
        beta: float = 1.0,
        free_bits: float = 0.0,
        kl_warmup_steps: int = 0,
        num_classes: int | None = None,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(shape, num_classes, seed, **kwargs)
        self.latent_dim = inputs.check_integer("latent_dim", latent_dim, 1)
        self.width = width
        kinds = ("gaussian",) if self.vectors else tuple(DISTRIBUTIONS)
        decoder_distribution = kinds[0] if decoder_distribution is None else decoder_distribution
        self.decoder_distribution = inputs.check_choice("decoder_distribution", decoder_distribution, kinds)
        self.beta = inputs.check_number("beta", beta, 0.0)
        self.free_bits = inputs.check_number("free_bits", free_bits, 0.0)
        self.kl_warmup_steps = inputs.check_integer("kl_warmup_steps", kl_warmup_steps, 0)
        encoder, decoder = (network or resolve.CODERS[len(self.shape)] for network in (encoder, decoder))
        self.keep(encoder=encoder, decoder=decoder)
        bounds = {"bounded": False} if self.vectors else {}
        self.distribution = DISTRIBUTIONS[decoder_distribution](name="distribution", **bounds)
        *sides, channels = self.shape
        planes = self.num_classes or 0
        image = (*sides, channels + planes)
        outputs = (*sides, channels * self.distribution.num_outputs)
        self.encoder = resolve.encoder(encoder, image, 2 * self.latent_dim, width, self.dtype_policy)
        self.decoder = resolve.decoder(decoder, self.latent_dim + planes, outputs, width, self.dtype_policy)

    @property
    def num_levels(self) -> int:
        """Values a pixel can take in the images whose bits are counted: 256, or 2 for "bernoulli"."""
        return self.distribution.levels or 256

    # The model: q(z | x), p(x | z) and the bound

    def posterior(self, images: Tensor, one_hot: Tensor | None, training: bool = False) -> tuple[Tensor, Tensor]:
        """Mean and log-variance `[B, latent_dim]` of q(z | x)."""
        outputs = ops.cast(self.encoder(self.with_label_planes(images, one_hot), training=training), "float32")
        mean, log_variance = ops.split(outputs, 2, axis=-1)
        return mean, ops.clip(log_variance, -20.0, 10.0)

    def decoder_outputs(self, z: Tensor, one_hot: Tensor | None, training: bool = False) -> Tensor:
        """Parameters of p(x | z), `[B, H, W, C * k]`."""
        if one_hot is not None:
            z = ops.concatenate([z, one_hot], axis=-1)
        return ops.cast(self.decoder(z, training=training), "float32")

    def current_beta(self) -> Any:
        """beta, after the warm-up so far."""
        return self.beta * warmed_up(self.steps_trained, self.kl_warmup_steps)

    def losses(self, x: Tensor, one_hot: Tensor | None, training: bool) -> tuple[Tensor, Logs]:
        """The loss above for one z; not in training the negative evidence lower bound, in nats per image `[B]`."""
        mean, log_variance = self.posterior(x, one_hot, training)
        z = mean + ops.exp(0.5 * log_variance) * self.normal(ops.shape(mean))
        outputs = self.decoder_outputs(z, one_hot, training)
        kl = 0.5 * (ops.square(mean) + ops.exp(log_variance) - 1.0 - log_variance)  # [B, latent_dim]
        kl_divergence = ops.sum(kl, axis=1)  # [B]
        error = mean_of_each(ops.square(x - self.distribution.mean(outputs)))  # [B]
        reconstruction = -self.distribution.log_prob(x, outputs)  # [B]
        loss = reconstruction + kl_divergence
        if training:
            loss = reconstruction + self.current_beta() * ops.sum(with_free_bits(kl, self.free_bits), axis=1)
        logs = {"loss": loss, "reconstruction_loss": reconstruction, "kl_divergence": kl_divergence}
        return loss, logs | {"mean_squared_error": error}

    @property
    def called(self) -> str:
        """With classes, a reconstruction needs a label too."""
        return "reconstruct" if self.num_classes is None else ""

    def call(self, images: Tensor, training: bool = False) -> Tensor:
        """The mean image of p(x | z) at the posterior mean, in [0, 1]; without classes only."""
        mean, _ = self.posterior(self.modality.scale(images), None, training)
        return self.distribution.mean(self.decoder_outputs(mean, None, training))

    def encode_step(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """Posterior means."""
        return self.posterior(self.modality.scale(images), self.one_hot(labels))[0]

    def decode_step(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """Mean images of p(x | z)."""
        return self.distribution.mean(self.decoder_outputs(z, self.one_hot(labels)))

    def log_weights_step(
        self, images: Tensor, labels: Tensor | None, epsilon: Tensor, num_importance_samples: int
    ) -> Tensor:
        """log (1/K) sum_k p(x | z_k) p(z_k) / q(z_k | x) in nats `[B]`, K samples in chunks.

        epsilon `[B, chunks * CHUNK, latent_dim]`; what it has beyond K samples is not counted.
        """
        images, one_hot = self.modality.scale(images), self.one_hot(labels)
        mean, log_variance = self.posterior(images, one_hot)
        repeated = ops.repeat(images, CHUNK, axis=0)
        repeated_one_hot = None if one_hot is None else ops.repeat(one_hot, CHUNK, axis=0)

        def chunk(log_sum, index):
            eps = ops.slice(epsilon, (0, index * CHUNK, 0), (epsilon.shape[0], CHUNK, self.latent_dim))
            z = mean[:, None] + ops.exp(0.5 * log_variance)[:, None] * eps  # [B, CHUNK, latent_dim]
            outputs = self.decoder_outputs(ops.reshape(z, (-1, self.latent_dim)), repeated_one_hot)
            log_likelihood = ops.reshape(self.distribution.log_prob(repeated, outputs), (-1, CHUNK))
            # log p(z) - log q(z | x): the normalising constants of both normals cancel.
            log_ratio = 0.5 * ops.sum(ops.square(eps) - ops.square(z) + log_variance[:, None], axis=-1)
            counted = index * CHUNK + ops.arange(CHUNK, dtype="int32") < num_importance_samples
            log_w = ops.where(counted, log_likelihood + log_ratio, -math.inf)  # [B, CHUNK]
            return ops.logaddexp(log_sum, ops.logsumexp(log_w, axis=1)), None

        chunks = epsilon.shape[1] // CHUNK
        log_sum = ops.full((images.shape[0],), -1e30, "float32")
        log_sum, _ = ops.scan(chunk, log_sum, ops.arange(chunks, dtype="int32"), length=chunks)
        return log_sum - math.log(num_importance_samples)

    def log_prob(
        self,
        x: ArrayLike,
        labels: Labels = None,
        num_importance_samples: int = 128,
        seed: Seed = 0,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> np.ndarray:
        """Importance-weighted bound on log P(x) in nats, float32 `[N]` (Burda et al. 2016, eq. 8).

        In expectation it rises with the number of samples towards log P(x); with one sample it is the evidence lower
        bound. The seed fixes the samples, the same ones on every backend.

        P is the probability of the 8-bit image, and floats in [0, 1] are taken as the nearest 8-bit pixels; with
        "bernoulli" that of the binary image, and gray values are probabilities. "gaussian" has a density over [0, 1],
        which is taken at (k + u) / 256 for pixels k, with u uniform in [0, 1), times the volume of the image's bin:
        that bounds P (Theis et al. 2016, section 3.1). For vectors P is the density.
        """
        x = self.modality.check(x)
        labels = self.check_labels(labels, len(x))
        k = inputs.check_integer("num_importance_samples", num_importance_samples, 1)
        seed = noise.check_seed(seed)
        padded = math.ceil(k / CHUNK) * CHUNK
        levels = self.distribution.levels
        x = x if levels == 2 else self.modality.to_storage(x)
        dense = levels is None and not self.vectors  # a density of pixels
        log_volume = -self.num_dims * math.log(256.0) if dense else 0.0

        def batch(start, stop):
            images, some = rows(x, labels)(start, stop)
            if dense:
                images = (images + 1.0 - noise.uniform(start, stop, self.shape, seed, stream=1)) / 256.0
                images = images.astype(np.float32)
            return [images, some, noise.normal(start, stop, (padded, self.latent_dim), seed)]

        return self.run(self.log_weights_step, len(x), batch, batch_size, verbose, k) + np.float32(log_volume)

    def anomaly_score(
        self, x: ArrayLike, labels: Labels = None, num_importance_samples: int = 16, **settings: Any
    ) -> np.ndarray:
        return super().anomaly_score(x, labels, num_importance_samples=num_importance_samples, **settings)

    @classmethod
    def for_rows(cls, num_columns: int) -> RowSettings:
        return RowSettings({"latent_dim": max(1, min(8, num_columns // 2)), "width": 64}, "likelihood", 0.0)

    def digest(self) -> bytes:
        """What tells the models apart that read one another's streams from those that do not."""
        return streams.digest_of([*self.encoder.weights, *self.decoder.weights])

    def compress(self, x: ArrayLike, verbose: Verbose = "auto") -> bytes:
        """Images uint8 `[N, H, W, C]` of any sides as bytes, without loss, by bits-back coding of tiles.

        A stream is read alike on every machine and backend, by a model of the same weights. It takes about the negative
        evidence lower bound of its tiles, and little more for the first ones: it pays to give many images at once.

        Raises `InputError`: images are not of 8 bits, or see `BitsBackCoder`.
        """
        coder, x = BitsBackCoder(self), to_numpy("images", x)
        if x.dtype != np.uint8 or x.ndim != 4 or x.shape[-1] != self.shape[-1] or 0 in x.shape:
            expected = f"uint8 [batch, height, width, {self.shape[-1]}]: nothing is to be lost"
            raise InputError(f"images have dtype {x.dtype} and shape {x.shape}; expected {expected}.")
        streams.num_values(x.shape, self.shape)  # refuses what is too much
        payload = coder.encode(tiles.cut(x, self.shape[:2]), verbose)
        return streams.Stream(KIND, self.digest(), x.shape, payload).pack(self.shape)

    def decompress(self, data: bytes, verbose: Verbose = "auto") -> np.ndarray:
        """Images, uint8 `[N, H, W, C]`, of what `compress` gave. Raises `InputError` for anything else."""
        stream = streams.unpack(data, KIND, self.digest(), self.shape)
        num, *sides, _ = stream.shape
        found = BitsBackCoder(self).decode(stream.payload, num * tiles.number(sides, self.shape[:2]), verbose)
        return tiles.join(found, sides)

    def likelihood_protocol(self, settings: Any) -> tuple[Config, Config]:
        return {"num_importance_samples": settings.num_importance_samples}, {}

    def measures(self) -> tuple[str, ...]:
        return (*super().measures(), "likelihood_calibration")
