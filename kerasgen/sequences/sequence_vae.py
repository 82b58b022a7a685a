"""Variational autoencoder of sequences (Bowman et al. 2016, "Generating sentences from a continuous space")."""

import math

import numpy as np
from keras import ops

from kerasgen import inputs, noise
from kerasgen.autoencoders.variational_autoencoder import warmed_up, with_free_bits
from kerasgen.base import FAMILIES, Exhibit, GenerativeModel, LatentModel, register_family, rows
from kerasgen.errors import InputError
from kerasgen.export import Part
from kerasgen.modalities import Vectors
from kerasgen.networks import resolve
from kerasgen.networks.build import dense
from kerasgen.recipes import Evaluation
from kerasgen.sequences.autoregressive import shifted, token_by_token
from kerasgen.sequences.sequence_model import SequenceModel
from kerasgen.typing import Any, Array, ArrayLike, Callable, Config, Labels, Logs, Seed, Sequence, Tensor, Verbose

SHOWN = 8  # steps of an interpolation


def log_q(epsilon: Tensor, log_variance: Tensor) -> Tensor:
    """log q(z | x) `[B]` of z = mean + exp(log_variance / 2) epsilon."""
    return -0.5 * ops.sum(ops.square(epsilon) + log_variance + math.log(2.0 * math.pi), axis=1)


@register_family
class SequenceVAE(SequenceModel, LatentModel):
    """z ~ p(z), tokens from a causal transformer that reads z beside each, and q(z | x) = N(mean(x), variance(x)).

    The loss is, in nats a sequence, E_q[-log p(x | z)] + KL(q(z | x) || p(z)); a step minimizes it over L. A decoder
    that predicts each token well from those before it leaves z unused; so in training it does not see `word_dropout` of
    these, and the KL divergence is warmed up and has free bits.

    Args:
        shape, vocabulary, network, num_classes, seed: see `SequenceModel`; encoder and decoder are two such networks.
        latent_dim: number of latents.
        word_dropout: share of the tokens that the decoder does not see in training.
        free_bits, kl_warmup_steps: as of a `VariationalAutoencoder`; with a `prior` the latents are one group, which
            costs nothing up to `latent_dim * free_bits` nats.
        prior: p(z): `None` for N(0, I); or a model of vectors `(latent_dim,)` that learns beside the rest, such as
            "RealNVP" or `{"class": "RealNVP", "steps": 4, "width": 64}` (Chen et al. 2017, section 3.2).
    """

    loss_names = ("loss", "reconstruction_loss", "kl_divergence")
    likelihood = "bound"
    causal = True

    def __init__(
        self,
        shape: Sequence[int] = (32,),
        vocabulary: Any = 256,
        latent_dim: int = 16,
        network: Any = "Transformer",
        num_classes: int | None = None,
        word_dropout: float = 0.3,
        free_bits: float = 0.0,
        kl_warmup_steps: int = 0,
        prior: Any = None,
        seed: int = 0,
        **kwargs: Any,
    ):
        self.latent_dim = inputs.check_integer("latent_dim", latent_dim, 1)
        if resolve.named(network) is None:
            raise InputError(
                f"network is a {type(network).__name__}; expected a name or a dictionary, to make two of it."
            )
        super().__init__(shape, vocabulary, network, num_classes, 0.0, seed, **kwargs)
        self.word_dropout = inputs.check_number("word_dropout", word_dropout, 0.0)
        if self.word_dropout > 1.0:
            raise InputError(f"word_dropout is {word_dropout}; expected at most 1.")
        self.free_bits = inputs.check_number("free_bits", free_bits, 0.0)
        self.kl_warmup_steps = inputs.check_integer("kl_warmup_steps", kl_warmup_steps, 0)
        sizes = (self.num_tokens + 1, self.num_tokens, self.length, num_classes)
        self.encoder = resolve.sequence_network(network, *sizes, False, self.dtype_policy, "encoder")
        self.posterior_out = dense(self.encoder.width, 2 * self.latent_dim, "posterior", self.dtype_policy)
        self.keep(prior=prior)
        self.prior = None if prior is None else self._prior(prior)

    @property
    def num_conditions(self) -> int:
        return self.latent_dim + (self.num_classes or 0)

    def _prior(self, prior):
        known = {name: family for name, family in FAMILIES.items() if Vectors in family.modalities}
        settings = {"shape": (self.latent_dim,), "seed": self.seed, "dtype": self.dtype_policy}
        prior = resolve.resolve("prior", prior, known, GenerativeModel, **settings)
        if prior.shape != (self.latent_dim,) or prior.num_classes or prior.likelihood != "exact":
            expected = f"one of {(self.latent_dim,)} with an exact density and no classes"
            raise InputError(f"prior is a {type(prior).__name__} of {prior.shape}; expected {expected}.")
        prior.train_in(self)
        return prior

    # The model: q(z | x), p(z), p(x | z) and the bound

    def posterior(self, tokens: Tensor, one_hot: Tensor | None, training: bool = False) -> tuple[Tensor, Tensor]:
        """Mean and log-variance `[B, latent_dim]` of q(z | x), from the mean over the tokens."""
        features = self.encoder(tokens, one_hot, training=training, features=True)
        outputs = ops.cast(self.posterior_out(ops.mean(features, axis=1)), "float32")
        mean, log_variance = ops.split(outputs, 2, axis=-1)
        return mean, ops.clip(log_variance, -20.0, 10.0)

    def log_prior(self, z: Tensor, training: bool = False) -> Tensor:
        """log p(z) `[B]`."""
        if self.prior is None:
            return -0.5 * ops.sum(ops.square(z) + math.log(2.0 * math.pi), axis=1)
        bits = self.prior.losses(z, None, training)[0]  # a dimension
        return -self.latent_dim * math.log(2.0) * bits

    def condition(self, z: Tensor, one_hot: Tensor | None) -> Tensor:
        return z if one_hot is None else ops.concatenate([z, one_hot], axis=1)

    def nats(self, tokens: Tensor, z: Tensor, one_hot: Tensor | None, training: bool = False) -> Tensor:
        """-log p(x | z) `[B]`; what follows an end costs nothing."""
        given = shifted(tokens, self.num_tokens)
        known = given == (-1 if self.modality.end is None else self.modality.end)
        if training and self.word_dropout:
            given = ops.where(self.uniform(ops.shape(given)) < self.word_dropout, self.num_tokens, given)
        nats = self.nats_of(tokens, given, self.condition(z, one_hot), training)
        return ops.sum(ops.where(known, 0.0, nats), axis=1)

    def losses(self, x: Tensor, one_hot: Tensor | None, training: bool) -> tuple[Tensor, Logs]:
        """The loss above for one z; not in training the negative evidence lower bound, `[B]`."""
        mean, log_variance = self.posterior(x, one_hot, training)
        epsilon = self.normal(ops.shape(mean))
        z = mean + ops.exp(0.5 * log_variance) * epsilon
        kl = 0.5 * (ops.square(mean) + ops.exp(log_variance) - 1.0 - log_variance)  # to N(0, I), [B, latent_dim]
        kl_divergence, cost = ops.sum(kl, axis=1), ops.sum(with_free_bits(kl, self.free_bits), axis=1)
        if self.prior is not None:  # by one draw
            kl_divergence = log_q(epsilon, log_variance) - self.log_prior(z, training)
            cost = with_free_bits(kl_divergence[:, None], self.latent_dim * self.free_bits)[:, 0]
        reconstruction = self.nats(x, z, one_hot, training)
        loss = reconstruction + kl_divergence
        if training:
            loss = reconstruction + warmed_up(self.steps_trained, self.kl_warmup_steps) * cost
        return loss / self.length, {"loss": loss, "reconstruction_loss": reconstruction, "kl_divergence": kl_divergence}

    @property
    def needs_initialization(self) -> bool:
        return self.prior is not None and self.prior.needs_initialization

    def initialize(self, x: Tensor, one_hot: Tensor | None) -> None:
        mean, log_variance = self.posterior(x, one_hot)
        epsilon = ops.convert_to_tensor(noise.normal(0, len(x), (self.latent_dim,), self.seed))
        self.prior.initialize(ops.stop_gradient(mean + ops.exp(0.5 * log_variance) * epsilon), None)

    def log_weights_step(self, x: Tensor, labels: Tensor | None, epsilon: Tensor) -> Tensor:
        """log (1 / K) sum_k p(x | z_k) p(z_k) / q(z_k | x) `[B]`; epsilon `[B, K, latent_dim]`."""
        one_hot, num = self.one_hot(labels), epsilon.shape[1]
        mean, log_variance = self.posterior(x, one_hot)

        def body(index, log_sum):
            e = ops.take(epsilon, index, axis=1)
            z = mean + ops.exp(0.5 * log_variance) * e
            log_weight = -self.nats(x, z, one_hot) + self.log_prior(z) - log_q(e, log_variance)
            return ops.logaddexp(log_sum, log_weight)

        start = ops.full((epsilon.shape[0],), -1e30, "float32")
        return ops.fori_loop(0, num, body, start) - math.log(num)

    def log_prob(
        self,
        x: ArrayLike,
        labels: Labels = None,
        num_importance_samples: int = 16,
        seed: Seed = 0,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> Array:
        """Importance-weighted bound on log P(x) in nats (Burda et al. 2016, eq. 8), float32 `[N]`."""
        x = self.modality.check(x)
        labels, seed = self.check_labels(labels, len(x)), noise.check_seed(seed)
        shape = (inputs.check_integer("num_importance_samples", num_importance_samples, 1), self.latent_dim)

        def batch(start, stop):
            return [*rows(x, labels)(start, stop), noise.normal(start, stop, shape, seed)]

        return self.run(self.log_weights_step, len(x), batch, batch_size, verbose)

    def likelihood_protocol(self, settings: Any) -> tuple[Config, Config]:
        return {"num_importance_samples": settings.num_importance_samples, "seed": settings.seed}, {}

    # Latents

    def encode_step(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """Posterior means of tokens."""
        return self.posterior(images, self.one_hot(labels))[0]

    def decode_step(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """The likeliest token each time."""
        u = ops.full((z.shape[0], self.length), 0.5, "float32")
        return self.draw_step(u, z, labels, 0.0, self.num_tokens, 1.0)

    def draw_step(self, u: Tensor, z: Tensor, labels: Tensor | None, *numbers: Any) -> Tensor:
        """Tokens `[B, L]` of z, by u `[B, L]`."""
        given = ops.full((z.shape[0], self.length), -1, "int32")
        condition = self.condition(z, self.one_hot(labels))
        return token_by_token(self.network, self.modality, u, given, condition, *numbers)

    def decode(self, z: ArrayLike, labels: Labels = None, batch_size: int = 64, verbose: Verbose = "auto") -> Array:
        """The likeliest tokens of latents `[N, latent_dim]`, each given those before it: int32 `[N, L]`."""
        return super().decode(z, labels, batch_size, verbose).astype(np.int32)

    def reconstruct(
        self, x: ArrayLike, labels: Labels = None, batch_size: int = 64, verbose: Verbose = "auto"
    ) -> Array:
        """`decode(encode(x))`, int32 `[N, L]`."""
        return super().reconstruct(x, labels, batch_size, verbose).astype(np.int32)

    def reconstruction_error(self, x: ArrayLike, labels: Labels = None, **settings: Any) -> Array:
        """The share of tokens that `reconstruct` gives otherwise, `[N]`."""
        x = self.modality.check(x)
        return (self.reconstruct(x, labels, **settings) != x).mean(axis=1).astype(np.float32)

    def fill_step(self, u: Tensor, order: Tensor, z: Tensor, labels: Tensor | None, *numbers: Any) -> Tensor:
        return self.draw_step(u, z, labels, *numbers)

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
    ) -> Array:
        """Sequences of latents that p(z) draws, int32 `[num_samples, L]`.

        Arguments as of `AutoregressiveTransformer.sample`.
        """
        num_samples, seed = inputs.check_integer("num_samples", num_samples, 1), noise.check_seed(seed)
        if self.prior is None:
            z = noise.normal(0, num_samples, (self.latent_dim,), seed, stream=1)
        else:
            of_prior = int(
                2**53 * noise.uniform(0, 1, (1,), seed, stream=2)[0, 0]
            )  # independent of the tokens' numbers
            z = self.prior.sample(num_samples, seed=of_prior, batch_size=batch_size, verbose=0)
        return self.fill(z, labels, seed, temperature, top_k, top_p, batch_size, verbose)

    def export_parts(self) -> dict[str, Callable[..., Part]]:
        """None: the loop over tokens is not exported."""
        return {}

    def exhibit(self, examples: Array | None, labels: Array | None, settings: Evaluation) -> list[Exhibit]:
        """Samples; and lines from one example to another through their latents."""
        exhibits = super().exhibit(examples, labels, settings)
        if examples is None or len(examples) < 2:
            return exhibits

        def line():
            of_first = None if labels is None or self.num_classes is None else labels[:1]
            return self.interpolate(examples[:1], examples[1:2], SHOWN, of_first, verbose=0)[0].astype(np.int32)

        return [
            *exhibits,
            Exhibit(line, None, f"from one example of {settings.split} to another through their latents"),
        ]
