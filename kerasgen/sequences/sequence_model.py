"""`SequenceModel`: what models of sequences of tokens share."""

import math

import keras
import numpy as np
from keras import ops

from kerasgen import inputs, noise
from kerasgen.base import Exhibit, LikelihoodModel, describe_sampling, rows, written
from kerasgen.errors import InputError
from kerasgen.modalities import Tokens, tokens_of
from kerasgen.networks import resolve
from kerasgen.recipes import Evaluation
from kerasgen.typing import Any, Array, ArrayLike, Config, Labels, Seed, Sequence, Tensor, Verbose

COLD = 1e-4  # a temperature of 0 in effect: logits differ by more than that


def drawn(logits: Tensor, u: Tensor, temperature: Tensor, top_k: Tensor, top_p: Tensor) -> Tensor:
    """Tokens int32 `[...]` of logits `[..., K]`, by the inverse of the cumulative probabilities at u `[...]`.

    Of the likeliest tokens `top_k` can be drawn (Fan et al. 2018), and the fewest whose probabilities come to `top_p`
    (Holtzman et al. 2020, "nucleus"); others as likely as the last of them, too.
    """
    logits = logits / ops.maximum(temperature, COLD)
    probabilities = ops.softmax(logits)
    falling = -ops.sort(-probabilities, axis=-1)
    before = ops.cumsum(falling, axis=-1) - falling  # what the likelier ones come to
    rank = ops.arange(logits.shape[-1], dtype="int32")
    possible = ops.logical_and(rank < top_k, before < top_p)
    least = ops.min(ops.where(possible, falling, 2.0), axis=-1, keepdims=True)
    kept = ops.where(probabilities >= least, probabilities, 0.0)
    cumulative = ops.cumsum(kept, axis=-1)
    passed = cumulative < ops.expand_dims(u, -1) * cumulative[..., -1:]
    return ops.sum(ops.cast(passed, "int32"), axis=-1)


def without_ends(logits: Tensor, given: Tensor, end: int | None) -> Tensor:
    """Logits `[..., K]` of places, without the end where a token that is no end is `given` `[...]` further on.

    The last axis of `given` are the places, -1 for open ones.
    """
    if end is None:
        return logits
    known = ops.cast(ops.logical_and(given >= 0, given != end), "int32")
    later = ops.flip(ops.cumsum(ops.flip(known, axis=-1), axis=-1), axis=-1) - known > 0
    is_end = ops.arange(logits.shape[-1], dtype="int32") == end
    return ops.where(ops.logical_and(ops.expand_dims(later, -1), is_end), -1e9, logits)


class SequenceModel(LikelihoodModel):
    """A model of sequences `[L]` of tokens: texts, molecules, music, codes.

    A subclass says whether its network is `causal`, and gives `log_prob_step` and `fill_step`.

    Args:
        shape, num_classes, seed: see `BaseModel`.
        vocabulary: the string of each token; an empty one ends a text (see `kerasgen.modalities.Tokens`). The number of
            tokens that stand for no text. Of music `{"class": "notes", "voices": 4}` (see `kerasgen.modalities.Notes`).
        network: of `kerasgen.networks.SEQUENCE_NETWORKS`: "Transformer", or a dictionary such as `{"class":
            "Transformer", "width": 128, "depth": 4, "heads": 4, "dropout": 0.1}`.
        label_dropout: share of labels that training drops, for guidance.
    """

    loss_names: tuple[str, ...] = ("loss",)
    modalities = (Tokens,)
    task = "text-generation"
    drawn_by = "token by token"
    causal: bool
    modality: Tokens

    def __init__(
        self,
        shape: Sequence[int],
        vocabulary: Any,
        network: Any,
        num_classes: int | None,
        label_dropout: float,
        seed: int,
        **kwargs: Any,
    ):
        super().__init__(tokens_of(shape, vocabulary), num_classes, seed, **kwargs)
        self.vocabulary = list(vocabulary) if isinstance(vocabulary, (list, tuple, str)) else vocabulary
        self.label_dropout = inputs.check_number("label_dropout", label_dropout, 0.0)
        if self.label_dropout >= 1.0:
            raise InputError(f"label_dropout is {label_dropout}; expected less than 1.")
        self.num_tokens, self.length = self.modality.num_tokens, self.shape[0]
        self.keep(network=network)
        sizes = (self.num_tokens + 1, self.num_tokens, self.length, self.num_conditions)
        self.network = resolve.sequence_network(network, *sizes, self.causal, self.dtype_policy)

    @property
    def num_conditions(self) -> int | None:
        """Values of what the network reads besides tokens."""
        return self.num_classes

    def default_optimizer(self) -> keras.optimizers.Optimizer:
        return keras.optimizers.Adam(1e-3, beta_2=0.99)

    def drop_labels(self, one_hot: Tensor | None) -> Tensor | None:
        """Labels in training: `label_dropout` of them are zeros."""
        if one_hot is None or not self.label_dropout:
            return one_hot
        return one_hot * ops.cast(self.uniform((ops.shape(one_hot)[0], 1)) >= self.label_dropout, "float32")

    def nats_of(self, tokens: Tensor, given: Tensor, one_hot: Tensor | None, training: bool = False) -> Tensor:
        """-log p of each of the tokens, `[B, L]`, by the network that reads `given` `[B, L]`."""
        logits = self.network(given, one_hot, training=training)
        chosen = ops.one_hot(tokens, self.num_tokens, dtype="float32")
        return ops.logsumexp(logits, axis=-1) - ops.sum(logits * chosen, axis=-1)

    # Likelihoods

    def counts(self, tokens: Tensor) -> Tensor:
        """Tokens of each sequence that are not known beforehand, float32 `[B]`: those up to the first end, with it."""
        end = self.modality.end
        if end is None:
            return ops.full((ops.shape(tokens)[0],), float(self.length))
        return ops.minimum(ops.sum(ops.cast(tokens != end, "float32"), axis=1) + 1.0, float(self.length))

    def bits_per_token(self, x: ArrayLike, labels: Labels = None, **settings: Any) -> np.ndarray:
        """-log2 P(x) over its tokens, with the end, float32 `[N]`; settings are those of `log_prob`."""
        x = self.modality.check(x)
        return -self.log_prob(x, labels, **settings) / (self.modality.counts(x) * math.log(2.0))

    def bits_per_dim(self, x: ArrayLike, labels: Labels = None, **settings: Any) -> np.ndarray:
        """`bits_per_token`."""
        return self.bits_per_token(x, labels, **settings)

    def bits_per_char(self, x: ArrayLike, labels: Labels = None, **settings: Any) -> np.ndarray:
        """-log2 P(x) over the characters of its text, the end counted as one, float32 `[N]`."""
        x = self.modality.check(x)
        return -self.log_prob(x, labels, **settings) / (self.modality.characters(x) * math.log(2.0))

    # Sampling

    def sampling_config(
        self, temperature: float = 1.0, top_k: int | None = None, top_p: float = 1.0, **settings: Any
    ) -> Config:
        found = super().sampling_config(temperature, **settings) or {}
        return found | {"top_k": top_k, "top_p": top_p}

    def fill_step(self, u: Tensor, order: Tensor, given: Tensor, labels: Tensor | None, *numbers: Tensor) -> Tensor:
        """Tokens `[B, L]`: as `given`, or drawn by u `[B, L]` where that is -1.

        `numbers` are the temperature, top_k, top_p and what else the family has.
        """
        raise NotImplementedError

    def fill(
        self,
        given: Array,
        labels: Labels,
        seed: Seed,
        temperature: float,
        top_k: int | None,
        top_p: float,
        batch_size: int,
        verbose: Verbose,
        *numbers: Any,
    ) -> Array:
        """Checked settings, `fill_step` by batches, and texts cut at their ends, int32 `[N, L]`."""
        temperature = np.float32(inputs.check_number("temperature", temperature, 0.0))
        most = self.num_tokens
        top_k = np.int32(most if top_k is None else min(most, inputs.check_integer("top_k", top_k, 1)))
        top_p = np.float32(inputs.check_number("top_p", top_p, 0.0))
        if not 0.0 < top_p <= 1.0:
            raise InputError(f"top_p is {top_p:g}; expected more than 0 and at most 1.")
        labels = self.sample_labels(labels, len(given))
        seed = noise.check_seed(seed)

        def batch(start, stop):
            u, order = np.split(noise.uniform(start, stop, (2 * self.length,), seed).astype(np.float32), 2, axis=1)
            return [u, order, *rows(given, labels)(start, stop)]

        shared = (temperature, top_k, top_p, *numbers)
        found = self.run(self.fill_step, len(given), batch, batch_size, verbose, shared=shared)
        return self.modality.cut(found.astype(np.int32))

    # What it says of itself

    def measures(self) -> tuple[str, ...]:
        return ("nats_per_token", "copies", "molecules")

    def exhibit(self, examples: Array | None, labels: Array | None, settings: Evaluation) -> list[Exhibit]:
        how = f"seed {settings.seed}, {describe_sampling(settings.drawing)}, not picked."
        return [
            Exhibit(
                lambda: self.sample(settings.grid, seed=settings.seed, verbose=0, **settings.drawing),
                None,
                f"{settings.grid} samples, {how}",
            )
        ]

    def probe(self) -> np.ndarray:
        """Nats a token of two sequences: of samples one rounding changes all that follows."""
        x = (np.arange(2 * self.length, dtype=np.int32).reshape(2, -1) + 1) % self.num_tokens
        return self.anomaly_score(self.modality.cut(x), self.probe_labels(), verbose=0) / self.length

    def snippet(self, handle: str, drawing: Config | None = None) -> str:
        arguments = self.written_labels("0") + written(drawing)
        tokens, told = f"model.sample(16{arguments})", f"int32 [16, {self.length}]"
        if not self.modality.written:
            return f"""import kerasgen

model = kerasgen.load("{handle}")
tokens = {tokens}  # {told}
nats = -model.log_prob(tokens{self.written_labels("0")})  # float32 [16]
model.compile()  # then fine-tune: model.fit(tokens{", labels" if self.num_classes else ""})"""
        return f"""import kerasgen

model = kerasgen.load("{handle}")
tokens = {tokens}  # {told}
texts = model.modality.texts(tokens)  # 16 strings
nats = -model.log_prob(texts{self.written_labels("0")})  # float32 [16]
model.compile()  # then fine-tune: model.fit(texts{", labels" if self.num_classes else ""})"""
