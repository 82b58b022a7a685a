"""Figures of sequences against what can be counted by hand."""

import numpy as np
import pytest

from kerasgen import AutoregressiveTransformer, metrics
from kerasgen.metrics.sequences import longest_copies, repetition
from kerasgen.modalities import Tokens
from kerasgen.recipes import Evaluation


def by_hand(text, training):
    """Characters of the longest substring that some training text has, too."""
    substrings = {t[i:j] for t in training for i in range(len(t)) for j in range(i, len(t) + 1)}
    return max(j - i for i in range(len(text)) for j in range(i, len(text) + 1) if text[i:j] in substrings)


def test_longest_copies():
    rng = np.random.default_rng(0)
    x, training = rng.integers(0, 3, (20, 9)), rng.integers(0, 3, (4, 9))
    lengths = rng.integers(1, 10, 20)
    texts = ["".join(map(str, row)) for row in training]
    expected = [by_hand("".join(map(str, row[:n])), texts) for row, n in zip(x, lengths, strict=True)]
    np.testing.assert_array_equal(longest_copies(x, training, lengths), expected)
    assert len(set(expected)) > 3


def test_repetition():
    x = np.array([[0, 1] * 8, range(16), [0, 1] * 4 + [2] * 8])
    np.testing.assert_allclose(repetition(x, np.array([16, 16, 8])), [1 - 2 / 9, 0.0, 0.0])


def test_figures_of_texts():
    keras_model = AutoregressiveTransformer((6,), ["", "a", "bc"], {"class": "Transformer", "width": 8, "depth": 1})
    texts = ["a", "abc", "bcbc", "aaaaaa", ""]
    x = keras_model.modality.check(texts)
    run = metrics.Evaluation(keras_model, x, None, "test", training=lambda: x[:3], settings=Evaluation(num_samples=50))
    found = metrics.evaluate(run)["metrics"]
    nats = -keras_model.log_prob(texts).sum()
    assert found["nats_per_token"]["value"] == pytest.approx(nats / (2 + 3 + 3 + 6 + 1), rel=1e-5)
    assert found["bits_per_char"]["value"] == pytest.approx(nats / np.log(2) / (2 + 4 + 5 + 6 + 1), rel=1e-5)
    assert found["novelty"]["real"] == pytest.approx(2 / 5)
    assert 0.0 < found["distinct"]["value"] <= 1.0
    samples = keras_model.modality.texts(run.samples)
    assert found["novelty"]["value"] == pytest.approx(np.mean([text not in texts[:3] for text in samples]))
    assert found["longest_copy"]["real"] == pytest.approx(np.mean([2, 3, 3, 1, 1]), abs=1e-6)


def test_counts():
    tokens = Tokens((4,), ["", "a", "bc"])
    x = tokens.check(["", "a", "bcbcbc", "aaaa"])
    np.testing.assert_array_equal(tokens.counts(x), [1, 2, 4, 4])
    np.testing.assert_array_equal(tokens.characters(x), [1, 2, 7, 4])
    np.testing.assert_array_equal(Tokens((4,), 3).counts(np.zeros((2, 4), int)), [4, 4])
