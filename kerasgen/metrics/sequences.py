"""Figures of sequences of tokens: likelihoods a token, and how much of samples is copied or repeated."""

import math

import numpy as np

from kerasgen.metrics.figure import Figures, figure, mean_figure
from kerasgen.modalities import Tokens
from kerasgen.typing import Any, Array

REPEATED = 8  # tokens in a row
PRIME = np.uint64(0x9E3779B97F4A7C15)


def likelihood(run: Any) -> Figures:
    """-log P over all tokens together, in nats a token, ends among them; and in bits a character, of texts.

    The standard error is that of a ratio of means, by its linear part.
    """
    model = run.model
    settings, protocol = model.likelihood_protocol(run.settings)
    x, labels = run.first(run.settings.likelihood_images)
    nats = -np.asarray(model.log_prob(x, labels, **run.batching, **settings), np.float64)
    how = {**run.how, "n": len(x), "kind": model.likelihood, **settings, **protocol}

    def a_piece(counts, scale, name):
        value = float(nats.sum() / counts.sum())
        rest = nats - value * counts
        error = float(math.sqrt(np.square(rest).sum()) / counts.sum()) if len(x) > 1 else None
        return {name: figure(value * scale, None if error is None else error * scale, **how)}

    found = a_piece(model.modality.counts(x), 1.0, "nats_per_token")
    if (size := model.modality.tokens_per_step) > 1:
        found |= a_piece(model.modality.counts(x), float(size), "nats_per_step")
    if model.modality.written:
        found |= a_piece(model.modality.characters(x), 1.0 / math.log(2.0), "bits_per_char")
    return found


def grams(x: Array, size: int) -> Array:
    """A hash of each run of `size` tokens: uint64 `[N, L - size + 1]` of `[N, L]`."""
    codes = (x.astype(np.uint64) + np.uint64(1)) * PRIME
    found = np.zeros((len(x), x.shape[1] - size + 1), np.uint64)
    with np.errstate(over="ignore"):
        for place in range(size):
            found = found * np.uint64(0x100000001B3) + codes[:, place : place + found.shape[1]]
            found ^= found >> np.uint64(29)
    return found


def longest_copies(x: Array, training: Array, lengths: Array) -> Array:
    """How many tokens the longest run of each sequence `[N, L]` has that is in some training sequence, too: `[N]`.

    Args:
        lengths: how many tokens of each sequence count.
    """
    longest = np.zeros(len(x), int)
    for size in range(1, min(x.shape[1], training.shape[1]) + 1):
        going_on = np.flatnonzero((longest == size - 1) & (lengths >= size))
        if not len(going_on):
            break
        known = np.unique(grams(training, size))
        inside = np.arange(x.shape[1] - size + 1) <= lengths[going_on, None] - size
        longest[going_on[(np.isin(grams(x[going_on], size), known) & inside).any(axis=1)]] = size
    return longest


def repetition(x: Array, lengths: Array) -> Array:
    """The share of runs of 8 tokens of each sequence that it has had before, `[N]`."""
    found = np.zeros(len(x))
    for index, (row, length) in enumerate(zip(grams(x, min(REPEATED, x.shape[1])), lengths, strict=True)):
        runs = row[: max(0, int(length) - REPEATED + 1)]
        found[index] = 1.0 - len(np.unique(runs)) / len(runs) if len(runs) else 0.0
    return found


def copies(run: Any) -> Figures:
    """The longest run of tokens that samples share with a training sequence, and how much of a sample is repetition.

    Of texts that end also how many samples are distinct, and in no training set. `real` is what held-out examples have.
    """
    modality: Tokens = run.model.modality
    training = modality.to_storage(run.training())
    real, samples = run.images[: run.num_samples], run.samples
    how = run.how_sampled
    lengths = [modality.counts(x).astype(int) for x in (samples, real)]
    copied = [longest_copies(x, training, n) for x, n in zip((samples, real), lengths, strict=True)]
    repeated = [repetition(x, n) for x, n in zip((samples, real), lengths, strict=True)]
    found = {}
    for name, (values, of_real) in (("longest_copy", copied), ("repetition", repeated)):
        found[name] = mean_figure(values, **how, real=float(of_real.mean()))
    if modality.end is not None:
        known = {row.tobytes() for row in training}
        novel, of_real = ([row.tobytes() not in known for row in x] for x in (samples, real))
        found["novelty"] = mean_figure(novel, **how, real=float(np.mean(of_real)))
        distinct = [len({row.tobytes() for row in x}) / len(x) for x in (samples, real)]
        found["distinct"] = figure(distinct[0], None, **how, real=distinct[1])
    return found
