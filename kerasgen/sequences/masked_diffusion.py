"""Masked diffusion: tokens are masked one after the other, and a network tells them all from those that are left.

The absorbing-state diffusion of Austin et al. 2021 ("D3PM") in continuous time, whose bound is a weighted sum of cross
entropies (Sahoo et al. 2024, "MDLM", equation 11).
"""

import numpy as np
from keras import ops

from kerasgen import inputs, noise
from kerasgen.base import register_family, rows
from kerasgen.errors import InputError
from kerasgen.modalities import to_numpy
from kerasgen.modalities.tokens import is_texts
from kerasgen.sequences.sequence_model import SequenceModel, drawn, without_ends
from kerasgen.typing import Any, Array, ArrayLike, Config, Labels, Logs, Seed, Sequence, Tensor, Verbose


@register_family
class MaskedDiffusion(SequenceModel):
    """-log p(x) <= E_k E_S [L / k sum_(i in S) -log p(x_i | x without S)], k uniform in 1..L, S any k of L places.

    That is the bound of MDLM with its time integrated: where each token is masked with probability t, the bound is
    the integral over t of 1 / t times the mean cross entropy of masked tokens, and the integral of 1 / t times the
    probability of k masks, (L over k) t^k (1 - t)^(L - k), is 1 / k for every schedule. So the network need not know
    the time. It is the bound of models of any order, too (Hoogeboom et al. 2022, equation 4). A step minimizes it over
    L, in nats; ends are tokens like others.

    Arguments: see `SequenceModel`.
    """

    likelihood = "bound"
    causal = False

    def __init__(
        self,
        shape: Sequence[int] = (128,),
        vocabulary: Any = 256,
        network: Any = "Transformer",
        num_classes: int | None = None,
        label_dropout: float = 0.1,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(shape, vocabulary, network, num_classes, label_dropout, seed, **kwargs)

    def masked_nats(self, x: Tensor, num: Tensor, order: Tensor, one_hot: Any, training: bool = False) -> Tensor:
        """The mean of -log p over the `num` `[B]` masked tokens of x, `[B]`: those first in the `order` `[B, L]`."""
        rank = ops.argsort(ops.argsort(order, axis=1), axis=1)
        masked = ops.cast(rank, "int32") < num[:, None]
        nats = self.nats_of(x, ops.where(masked, self.num_tokens, x), one_hot, training)
        return ops.sum(ops.where(masked, nats, 0.0), axis=1) / ops.cast(num, "float32")

    def losses(self, x: Tensor, one_hot: Tensor | None, training: bool) -> tuple[Tensor, Logs]:
        """The bound of each sequence by one draw of k, evenly spread over a batch, and S, in nats a token, `[B]`."""
        one_hot = self.drop_labels(one_hot) if training else one_hot
        num = 1 + ops.cast(ops.floor(self.length * self.stratified(ops.shape(x)[0])), "int32")
        losses = self.masked_nats(x, ops.minimum(num, self.length), self.uniform(ops.shape(x)), one_hot, training)
        return losses, {"loss": losses}

    def log_prob_step(self, x: Tensor, labels: Tensor | None, u: Tensor) -> Tensor:
        """u `[B, R, L + 1]`: for each of R evaluations an order, and where k lies in its part of 1..L."""
        one_hot, num_evaluations = self.one_hot(labels), u.shape[1]

        def body(index, total):
            drawn = ops.take(u, index, axis=1)
            share = (ops.cast(index, "float32") + drawn[:, -1]) / num_evaluations  # in (0, 1]
            num = ops.cast(ops.clip(ops.ceil(self.length * share), 1, self.length), "int32")
            return total + self.masked_nats(x, num, drawn[:, :-1], one_hot)

        total = ops.fori_loop(0, num_evaluations, body, ops.zeros((u.shape[0],)))
        return -self.length * total / num_evaluations

    def log_prob(
        self,
        x: ArrayLike,
        labels: Labels = None,
        num_evaluations: int = 64,
        seed: Seed = 0,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> Array:
        """A lower bound of log P(x) in nats, in expectation over the seed, float32 `[N]`, of tokens `[N, L]` or texts.

        Args:
            num_evaluations: of the network for each sequence, each with another part of the numbers of masks.
        """
        x = self.modality.check(x)
        labels, seed = self.check_labels(labels, len(x)), noise.check_seed(seed)
        shape = (inputs.check_integer("num_evaluations", num_evaluations, 1), self.length + 1)

        def batch(start, stop):
            return [*rows(x, labels)(start, stop), noise.uniform(start, stop, shape, seed).astype(np.float32)]

        return self.run(self.log_prob_step, len(x), batch, batch_size, verbose)

    def likelihood_protocol(self, settings: Any) -> tuple[Config, Config]:
        return {"num_evaluations": settings.num_evaluations or 64, "seed": settings.seed}, {}

    # Sampling

    def sampling_config(
        self,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float = 1.0,
        steps: int | None = None,
        guidance: float = 1.0,
    ) -> Config:
        found = super().sampling_config(temperature, top_k, top_p)
        return found | {"name": "in random order", "steps": self.check_steps(steps), "guidance": guidance}

    def check_steps(self, steps: int | None) -> int:
        return self.length if steps is None else min(self.length, inputs.check_integer("steps", steps, 1))

    def fill_step(
        self,
        u: Tensor,
        order: Tensor,
        given: Tensor,
        labels: Tensor | None,
        temperature: Tensor,
        top_k: Tensor,
        top_p: Tensor,
        steps: Tensor,
        guidance: Tensor | None,
    ) -> Tensor:
        """The open places in a random order, in `steps` parts, each drawn at once from what is known before.

        With guidance w logits are l_0 + w (l - l_0), l_0 without the label (Ho and Salimans 2022).
        """
        one_hot = self.one_hot(labels)
        opened = given < 0
        num = ops.sum(ops.cast(opened, "int32"), axis=1, keepdims=True)
        rank = ops.cast(ops.argsort(ops.argsort(ops.where(opened, order, 2.0), axis=1), axis=1), "int32")

        def body(step, tokens):
            logits = self.network(tokens, one_hot)
            if guidance is not None:
                without = self.network(tokens, ops.zeros_like(one_hot))
                logits = without + guidance * (logits - without)
            logits = without_ends(logits, given, self.modality.end)
            new = drawn(logits, u, temperature, top_k, top_p)
            now = ops.logical_and(rank >= num * step // steps, rank < num * (step + 1) // steps)
            return ops.where(ops.logical_and(opened, now), new, tokens)

        tokens = ops.where(opened, self.num_tokens, given)
        return ops.cast(ops.fori_loop(0, steps, body, tokens), "float32")

    def filled(
        self,
        given: Array,
        labels: Labels,
        seed: Seed,
        temperature: float,
        top_k: int | None,
        top_p: float,
        batch_size: int,
        verbose: Verbose,
        steps: int | None,
        guidance: float,
    ) -> Array:
        """As `fill`, with the checked settings of this family."""
        guidance = inputs.check_number("guidance", guidance, 0.0)
        if guidance != 1.0 and self.num_classes is None:
            raise InputError(f"guidance is {guidance:g}, but this model has no classes to guide to.")
        if guidance != 1.0 and not self.label_dropout:
            raise InputError(f"guidance is {guidance:g}, but with label_dropout=0 nothing was learned without labels.")
        weight = None if guidance == 1.0 else np.float32(guidance)
        numbers = (np.int32(self.check_steps(steps)), weight)
        return self.fill(given, labels, seed, temperature, top_k, top_p, batch_size, verbose, *numbers)

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
        steps: int | None = None,
        guidance: float = 1.0,
    ) -> Array:
        """Sequences, int32 `[num_samples, L]`; `model.modality.texts` has their texts.

        Arguments as of `AutoregressiveTransformer.sample`, and:

        Args:
            steps: evaluations of the network; `None` for L, a token each. With fewer several are drawn at once, as if
                they did not depend on each other.
            guidance: weight of classifier-free guidance: 1 is none.
        """
        given = self.modality.check_given(prompt, inputs.check_integer("num_samples", num_samples, 1))
        return self.filled(given, labels, seed, temperature, top_k, top_p, batch_size, verbose, steps, guidance)

    @inputs.names_settings
    def infill(
        self,
        x: Any,
        labels: Labels = None,
        seed: Seed = None,
        temperature: float = 1.0,
        batch_size: int = 64,
        verbose: Verbose = "auto",
        *,
        blank: str = "_",
        top_k: int | None = None,
        top_p: float = 1.0,
        steps: int | None = None,
        guidance: float = 1.0,
    ) -> Array:
        """Sequences with their open places filled in, int32 `[N, L]`.

        Args:
            x: texts with a `blank` for each open token, or tokens `[N, L]` with -1 for it. A text that is shorter than
                L ends, if the vocabulary has an end; else it may go on.
            blank: one character that the vocabulary does not have.
            labels, seed, temperature, top_k, top_p, steps, guidance: as of `sample`.
        """
        x = [x] if isinstance(x, str) else x.tolist() if is_texts(x) else x
        texts = isinstance(x, (list, tuple)) and bool(x) and all(isinstance(text, str) for text in x)
        if not texts:
            x = to_numpy("tokens", x)
            if x.ndim != 2 or x.dtype.kind not in "iu" or len(x) == 0:
                raise InputError(f"tokens have shape {x.shape} and dtype {x.dtype}; expected texts or integers [N, L].")
        given = self.modality.check_given(x, len(x), blank)
        if texts and self.modality.end is not None:
            for row, text in zip(given, x, strict=True):
                row[len(self.modality.with_blanks(text, blank)) :] = self.modality.end
        return self.filled(given, labels, seed, temperature, top_k, top_p, batch_size, verbose, steps, guidance)
