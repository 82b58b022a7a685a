"""Autoregressive transformer: each token given those before it (Radford et al. 2018; Vaswani et al. 2017)."""

from keras import ops

from kerasgen import inputs
from kerasgen.base import register_family, rows
from kerasgen.modalities import Tokens
from kerasgen.networks.transformer import Transformer
from kerasgen.sequences.sequence_model import SequenceModel, drawn, without_ends
from kerasgen.typing import Any, Array, ArrayLike, Labels, Logs, Seed, Sequence, Tensor, Verbose


def shifted(tokens: Tensor, start: int) -> Tensor:
    """What a causal network reads to predict tokens `[B, L]`: those before, and first a start."""
    return ops.concatenate([ops.full((ops.shape(tokens)[0], 1), start, "int32"), tokens[:, :-1]], axis=1)


def token_by_token(
    network: Transformer,
    modality: Tokens,
    u: Tensor,
    given: Tensor,
    condition: Tensor | None,
    temperature: Tensor,
    top_k: Tensor,
    top_p: Tensor,
) -> Tensor:
    """Tokens `[B, L]`, as `given` or drawn by u where that is -1, from a causal network and its condition.

    Keys and values are kept, so that each token costs the same.
    """
    num, length, end = u.shape[0], modality.shape[0], modality.end
    places = ops.arange(length, dtype="int32")
    barred = without_ends(ops.zeros((num, length, modality.num_tokens)), given, end)

    def body(index, carry):
        tokens, last, cache = carry
        logits, cache = network.step(last, index, cache, condition)
        logits = logits + ops.take(barred, index, axis=1)
        token = drawn(logits, ops.take(u, index, axis=1), temperature, top_k, top_p)
        known = ops.take(given, index, axis=1)
        token = ops.where(known >= 0, known, token)
        if end is not None:
            token = ops.where(last == end, end, token)
        return ops.where(places == index, token[:, None], tokens), token, cache

    start = ops.full((num,), modality.num_tokens, "int32")
    carry = (ops.zeros((num, length), "int32"), start, network.empty_cache(num, length))
    return ops.cast(ops.fori_loop(0, length, body, carry)[0], "float32")


@register_family
class AutoregressiveTransformer(SequenceModel):
    """log p(x) = sum_i log p(x_i | x_0, ..., x_(i - 1)), exactly; what follows an end costs nothing.

    A step minimizes nats a token, over all tokens of the batch. Arguments: see `SequenceModel`.
    """

    likelihood = "exact"
    causal = True

    def __init__(
        self,
        shape: Sequence[int] = (128,),
        vocabulary: Any = 256,
        network: Any = "Transformer",
        num_classes: int | None = None,
        label_dropout: float = 0.0,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(shape, vocabulary, network, num_classes, label_dropout, seed, **kwargs)

    def nats(self, tokens: Tensor, one_hot: Tensor | None, training: bool = False) -> Tensor:
        """-log p(x) of sequences `[B, L]`, `[B]`."""
        given = shifted(tokens, self.num_tokens)  # which is no token
        nats = self.nats_of(tokens, given, one_hot, training)
        known = given == (-1 if self.modality.end is None else self.modality.end)
        return ops.sum(ops.where(known, 0.0, nats), axis=1)

    def batch_weights(self, x: Tensor, weights: Tensor | None) -> Tensor:
        """A sequence counts as often as it has tokens, so that means are over tokens."""
        return super().batch_weights(x, weights) * self.counts(x)

    def losses(self, x: Tensor, one_hot: Tensor | None, training: bool) -> tuple[Tensor, Logs]:
        """Nats a token of each sequence, `[B]`."""
        one_hot = self.drop_labels(one_hot) if training else one_hot
        losses = self.nats(x, one_hot, training) / self.counts(x)
        return losses, {"loss": losses}

    def log_prob_step(self, x: Tensor, labels: Tensor | None) -> Tensor:
        return -self.nats(x, self.one_hot(labels))

    def log_prob(self, x: ArrayLike, labels: Labels = None, batch_size: int = 64, verbose: Verbose = "auto") -> Array:
        """log P(x) in nats, float32 `[N]`, of tokens `[N, L]` or texts."""
        x = self.modality.check(x)
        labels = self.check_labels(labels, len(x))
        return self.run(self.log_prob_step, len(x), rows(x, labels), batch_size, verbose)

    def fill_step(
        self,
        u: Tensor,
        order: Tensor,
        given: Tensor,
        labels: Tensor | None,
        temperature: Tensor,
        top_k: Tensor,
        top_p: Tensor,
    ) -> Tensor:
        condition = self.one_hot(labels)
        return token_by_token(self.network, self.modality, u, given, condition, temperature, top_k, top_p)

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
        prompt: Any = None,
        top_k: int | None = None,
        top_p: float = 1.0,
    ) -> Array:
        """Sequences, int32 `[num_samples, L]`; `model.modality.texts` has their texts.

        The i-th sequence depends on the seed, i, its label, its prompt and the settings alone.

        Args:
            labels: of classes, which are taken in turn unless given.
            temperature: divides the logits; 0 takes the likeliest token each time.
            prompt: what sequences begin with, one for all or one for each: a text, or tokens `[T]`, or several.
            top_k: how many of the likeliest tokens can be drawn; `None` for all.
            top_p: the fewest of the likeliest tokens that have this probability together can be drawn.
        """
        given = self.modality.check_given(prompt, inputs.check_integer("num_samples", num_samples, 1))
        return self.fill(given, labels, seed, temperature, top_k, top_p, batch_size, verbose)
