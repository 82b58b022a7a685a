"""A VAE of sequences: its bound, its prior, its latents."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats

from kerasgen import RealNVP, SequenceVAE
from kerasgen.errors import InputError
from kerasgen.recipes import Evaluation
from tests.model_case import assert_same

NETWORK = {"class": "Transformer", "width": 32, "depth": 1, "heads": 2}
WORDS = ["aab", "abc", "bca", "cc", "ba", "cab", "c", "acbb"]


def make(**arguments):
    return SequenceVAE((5,), ["", *"abc"], 4, NETWORK, **arguments)


@pytest.fixture(scope="module", params=[None, {"class": "RealNVP", "steps": 2, "width": 16}])
def learned(request):
    """Of eight words, one as often as the other."""
    keras.utils.set_random_seed(0)
    model = make(prior=request.param, free_bits=0.3, kl_warmup_steps=200)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(5e-3, 800), beta_2=0.99))
    model.fit(WORDS * (8 * 800), batch_size=64, verbose=0)
    return model


def test_it_learns_words_and_uses_its_latents(learned):
    """The bound comes near log 8 from above, many of what is drawn are words, and latents give their words back."""
    nats = -learned.log_prob(WORDS, num_importance_samples=64, verbose=0)
    assert np.log(8) - 0.05 < nats.mean() < np.log(8) + 1.0
    samples = learned.modality.texts(learned.sample(400, seed=0, batch_size=200, verbose=0))
    assert np.mean([text in WORDS for text in samples]) > 0.5  # of 363 texts of up to five letters
    assert len(set(samples) & set(WORDS)) >= 6
    assert learned.reconstruction_error(WORDS, verbose=0).mean() < 0.3
    assert learned.evaluate(WORDS, verbose=0, return_dict=True)["kl_divergence"] > 1.0
    assert_same(learned.sample(3, seed=0, batch_size=2, verbose=0), learned.sample(400, seed=0, verbose=0)[:3], 0)


def test_more_importance_samples_give_more(learned):
    """In expectation; one is the evidence lower bound, which `evaluate` has by other draws."""
    words = WORDS * 50
    few, many = (learned.log_prob(words, num_importance_samples=k, batch_size=400, verbose=0).mean() for k in (1, 64))
    assert few < many + 0.02  # of draws
    assert learned.evaluate(words, verbose=0, return_dict=True)["loss"] == pytest.approx(-few, abs=0.3)


def test_samples_are_of_the_model():
    """Tokens do not depend on the noise of z but by z: frequencies of samples are the probabilities of the mixture."""
    model = SequenceVAE((2,), 2, 2, NETWORK, prior={"class": "RealNVP", "steps": 1, "width": 8})
    for layer in (model.network.condition, model.network):  # z and the tokens before matter
        weight = layer.trainable_weights[0]
        weight.assign(np.random.default_rng(0).normal(size=weight.shape))
    z = model.prior.sample(400, seed=7, verbose=0)
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.int32)
    nats = [
        ops.convert_to_numpy(model.nats(ops.convert_to_tensor(np.tile(row, (400, 1))), ops.convert_to_tensor(z), None))
        for row in x
    ]
    expected = np.exp(-np.array(nats)).mean(axis=1)
    assert expected.sum() == pytest.approx(1.0, abs=1e-4)
    samples = model.sample(4000, seed=3, batch_size=1000, verbose=0)
    counts = np.bincount(samples @ [2, 1], minlength=4)
    np.testing.assert_allclose(counts / 4000, expected, atol=0.04)


def test_latents(learned):
    z = learned.encode(WORDS, verbose=0)
    assert z.shape == (8, 4)
    found = learned.decode(z, verbose=0)
    assert found.dtype == np.int32
    assert_same(found, learned.reconstruct(WORDS, verbose=0), 0)
    line = learned.interpolate(WORDS[:1], WORDS[1:2], steps=4, verbose=0)
    assert line.shape == (1, 4, 5)
    assert_same(line[0, [0, -1]], found[:2], 0)
    shown = learned.exhibit(learned.modality.check(WORDS), None, Evaluation(grid=3))
    assert [len(exhibit.examples) for exhibit in shown] == [3, 8]


def test_the_bound_by_hand():
    """-log p(x | z) of the decoder, and the divergence of two normals, for the z of one draw."""
    model = make(word_dropout=0.0)
    x = ops.convert_to_tensor(model.modality.check(WORDS))
    mean, log_variance = (ops.convert_to_numpy(part) for part in model.posterior(x, None))
    epsilon = np.random.default_rng(0).normal(size=(8, 1, 4)).astype("float32")
    z = mean + np.exp(0.5 * log_variance) * epsilon[:, 0]
    log_p = -ops.convert_to_numpy(model.nats(x, ops.convert_to_tensor(z), None))
    log_p += stats.norm.logpdf(z).sum(axis=1) - stats.norm.logpdf(z, mean, np.exp(0.5 * log_variance)).sum(axis=1)
    found = model.log_weights_step(x, None, ops.convert_to_tensor(epsilon))
    assert_same(ops.convert_to_numpy(found), log_p, 1e-4)


def test_what_is_refused():
    with pytest.raises(InputError, match="word_dropout is 2"):
        make(word_dropout=2.0)
    with pytest.raises(InputError, match="exact density"):
        make(prior={"class": "FlowMatching"})
    with pytest.raises(InputError, match="exact density"):
        make(prior=RealNVP((3,), steps=1, width=4))
    with pytest.raises(InputError, match="no setting 'prompt'"):
        make().sample(1, prompt="a")
