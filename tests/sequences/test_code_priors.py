"""A VQVAE with a prior over its codes: one model, one checkpoint, one `fit`, which draws images of classes."""

import keras
import numpy as np
import pytest

import kerasgen
from kerasgen import VQVAE, AutoregressiveTransformer
from kerasgen.errors import InputError
from kerasgen.recipes import Evaluation
from tests.model_case import assert_same

NETWORK = {"class": "Transformer", "width": 32, "depth": 2, "heads": 2}
SPATIAL = {"class": "spatial", "levels": 1}
VECTORS = {"class": "vector", "num_codes": 8, "dim": 4}


def make(prior, num_classes=4):
    return VQVAE((8, 8, 1), (4, 4), VECTORS, SPATIAL, SPATIAL, 8, context_width=8, num_classes=num_classes, prior=prior)


@pytest.fixture(scope="module", params=["AutoregressiveTransformer", "MaskedDiffusion"])
def learned(request, squares):
    """Trained until its samples are squares in the places of their labels."""
    keras.utils.set_random_seed(0)
    x, y = squares
    model = make({"class": request.param, "network": NETWORK})
    model.compile(keras.optimizers.Adam(3e-3))
    times = 500 if model.prior.causal else 700
    model.fit(np.tile(x, (times, 1, 1, 1)), np.tile(y, times), batch_size=32, verbose=0)
    return model


def places(images):
    """In which of the four places each image is the brightest."""
    means = images.reshape(-1, 2, 4, 2, 4).mean(axis=(2, 4)).reshape(-1, 4)
    return means.argmax(axis=1)


def test_samples_match_their_classes(learned):
    labels = np.arange(80) % 4
    samples = learned.sample(80, labels=labels, seed=0, verbose=0)
    assert samples.shape == (80, 8, 8, 1)
    assert (places(samples) == labels).mean() > 0.9
    assert_same(learned.sample(8, labels=labels[:8], seed=0, batch_size=3, verbose=0), samples[:8])
    assert "sample" in learned.offers
    first, second = learned.exhibit(np.zeros((4, 8, 8, 1), np.uint8), None, Evaluation(grid=8))
    assert first.examples.shape == second.examples.shape == (8, 8, 8, 1)


def test_one_checkpoint(learned, squares, tmp_path):
    learned.save(tmp_path / "model")
    again = kerasgen.load(tmp_path / "model")
    assert_same(again.sample(4, seed=1, verbose=0), learned.sample(4, seed=1, verbose=0))
    assert again.compress(squares[0]) == learned.compress(squares[0])
    assert type(again.prior).__name__ == type(learned.prior).__name__


def test_losses_are_sums(squares):
    """That of the model without a prior, and the prior's nats of the codes, exactly."""
    x, y = squares
    model = make({"class": "AutoregressiveTransformer", "network": NETWORK})
    model.compile()
    model.fit(x, y, verbose=0)
    found = model.evaluate(x, y, verbose=0, return_dict=True)
    codes = model.encode(x, verbose=0).reshape(len(x), -1)
    nats = -model.prior.log_prob(codes, y, verbose=0).mean()
    assert found["prior_bits_per_pixel"] == pytest.approx(nats / np.log(2) / 64, rel=1e-4)
    plain = make(None, None)
    plain.compile()
    plain.fit(x, verbose=0)
    for name in ("encoder", "decoder", "quantizer", "code_model"):
        getattr(plain, name).set_weights(getattr(model, name).get_weights())
    alone = plain.evaluate(x, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(alone["loss"] + nats, rel=1e-4)
    assert found["bits_per_pixel"] == pytest.approx(alone["bits_per_pixel"], rel=1e-4)


def test_the_prior_alone(squares):
    """With the rest frozen, `fit` trains the prior of a model that is there, and changes nothing else."""
    x, y = squares
    model = make({"class": "AutoregressiveTransformer", "network": NETWORK})
    model.compile()
    model.fit(x, y, verbose=0)
    model.freeze("^(encoder|decoder|quantizer|code_model)")
    model.compile(keras.optimizers.Adam(3e-3))
    before, codes = model.evaluate(x, y, verbose=0, return_dict=True), model.encode(x, verbose=0)
    model.fit(x, y, epochs=5, verbose=0)
    after = model.evaluate(x, y, verbose=0, return_dict=True)
    np.testing.assert_array_equal(model.encode(x, verbose=0), codes)
    assert after["mean_squared_error"] == pytest.approx(before["mean_squared_error"], rel=1e-6)
    assert after["prior_bits_per_pixel"] < before["prior_bits_per_pixel"]


def test_what_does_not_fit(squares):
    plain = make(None, None)
    assert "sample" not in plain.offers
    assert plain.sampling_config() is None
    with pytest.raises(InputError, match="no prior over its codes"):
        plain.sample(2)
    with pytest.raises(InputError, match="no prior, which alone would know classes"):
        make(None, 4)
    with pytest.raises(InputError, match=r"the codes need \(\(16,\), 8, 4\)"):
        make(AutoregressiveTransformer((16,), 9, NETWORK, num_classes=4))
    with pytest.raises(InputError, match="the codes need"):
        make(AutoregressiveTransformer((16,), ["", *"abcdefg"], NETWORK, num_classes=4))
    for name in ("RealNVP", "SequenceVAE"):
        with pytest.raises(InputError, match=f"prior is '{name}'; expected one of"):
            make(name)
    with pytest.raises(InputError, match="no setting 'stepz'"):
        make("MaskedDiffusion").sample(2, stepz=3)
