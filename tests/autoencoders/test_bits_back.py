import math
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from kerasgen import VariationalAutoencoder
from kerasgen.autoencoders import fixed_point
from kerasgen.autoencoders.bits_back import BitsBackCoder, blocks
from kerasgen.autoencoders.coders import Stack
from kerasgen.autoencoders.fixed_network import FixedNetwork
from kerasgen.autoencoders.fixed_point import BITS, TABLES, TOP, fixed
from kerasgen.errors import CheckpointError, InputError
from tests.model_case import long_fit

LOGISTIC = {"decoder_distribution": "discretized_logistic"}


def small(**arguments):
    return VariationalAutoencoder(**{"shape": (8, 8, 1), "latent_dim": 3, "width": 8} | LOGISTIC | arguments)


@pytest.fixture(scope="module")
def model(squares):
    keras.utils.set_random_seed(0)
    model = small()
    model.compile(keras.optimizers.Adam(3e-3))
    long_fit(model, squares[0], None, 150)
    return model


@pytest.mark.parametrize("name", TABLES)
def test_no_entry_of_a_table_is_near_a_tie(name):
    """So that libraries whose functions differ in their last bits, by 1e-13 of the value, round to one table."""
    values = TABLES[name]()
    distance = np.abs(values - np.floor(values) - 0.5)
    assert (distance / values).min() > 1e-13
    assert distance.min() > 1e-9


def test_tables_are_the_functions():
    x = np.linspace(-5.0, 5.0, 41)
    logistic, normal = 1.0 / (1.0 + np.exp(-x)), [0.5 * math.erfc(-t / math.sqrt(2.0)) for t in x]
    np.testing.assert_allclose(fixed_point.sigmoid(fixed(x)) / TOP, logistic, atol=1e-4)
    np.testing.assert_allclose(fixed_point.silu(fixed(x)) / 2**BITS, x * logistic, atol=1e-3)
    np.testing.assert_allclose(fixed_point.normal_cdf(fixed(x)) / TOP, normal, atol=1e-4)
    np.testing.assert_allclose(fixed_point.exponential(fixed(x)) / 2**BITS, np.exp(x), rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("network", ["conv", "dense"])
@pytest.mark.parametrize("shape", [(8, 8, 1), (15, 11, 3), (28, 28, 1)])
def test_networks_in_whole_numbers(network, shape):
    model = small(shape=shape, encoder=network, decoder=network)
    rng = np.random.default_rng(0)
    for given, part in ((rng.uniform(-1, 1, (2, *shape)), model.encoder), (rng.normal(size=(2, 3)), model.decoder)):
        for weight in part.weights:
            weight.assign(weight + 0.05 * rng.normal(size=weight.shape))
        exact = FixedNetwork(part)(fixed(given))
        np.testing.assert_array_equal(exact, np.floor(exact))
        expected = ops.convert_to_numpy(part(ops.convert_to_tensor(given.astype(np.float32))))
        np.testing.assert_allclose(exact / 2**BITS, expected, atol=0.02)
        np.testing.assert_array_equal(FixedNetwork(part)(fixed(given[:1])), exact[:1])  # whatever the batch


def test_probabilities_are_those_of_the_model(model, squares):
    coder = BitsBackCoder(model)
    x, _ = squares
    q = coder.posterior(x)
    assert q.shape == (32, 3, 1024)
    z = q.argmax(axis=-1)  # under which pixels are not so unlikely that weights of 1 count
    weights = np.stack(list(coder.likelihood(z)))
    chosen = np.take_along_axis(weights, x.reshape(32, 64, 1).astype(int), axis=-1)[..., 0]
    found = np.log(chosen / weights.sum(axis=-1)).sum(axis=1)
    values = ops.convert_to_tensor((coder.centres[z] / 2**BITS).astype(np.float32))
    outputs = model.decoder_outputs(values, None)
    expected = ops.convert_to_numpy(model.distribution.log_prob(ops.convert_to_tensor(x / np.float32(255.0)), outputs))
    np.testing.assert_allclose(found, expected, rtol=0.02)
    mean, log_variance = map(ops.convert_to_numpy, model.posterior(ops.convert_to_tensor(x / np.float32(255.0)), None))
    share = q / q.sum(axis=-1, keepdims=True)
    centres = coder.centres / 2**BITS
    np.testing.assert_allclose((share * centres).sum(axis=-1), mean, atol=0.03)
    spread = np.sqrt((share * centres**2).sum(axis=-1) - (share * centres).sum(axis=-1) ** 2)
    np.testing.assert_allclose(spread, np.exp(0.5 * log_variance), rtol=0.1)


def test_a_stack_gives_back_what_was_pushed():
    rng = np.random.default_rng(0)
    weights = rng.integers(1, 2**20, (50, 30)).astype(np.float64)
    symbols = rng.integers(0, 30, 50)
    stack = Stack()
    drawn = stack.pop(weights)  # of an empty one
    stack.push(drawn, weights)
    assert stack.bytes() == b""
    stack.push(symbols, weights)
    stack.push_uniform(symbols, 5)
    again = Stack(stack.bytes())
    np.testing.assert_array_equal(again.pop_uniform(50, 5), symbols)
    np.testing.assert_array_equal(again.pop(weights), symbols)


@pytest.mark.parametrize("num", [1, 2, 3, 32, 200])
def test_exact_and_of_the_length_of_the_bound(model, squares, num):
    x = np.concatenate([squares[0]] * 7)[:num]
    data = model.compress(x)
    found = model.decompress(data)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, x)
    if num == 200:
        bound = model.bits_per_dim(x, num_importance_samples=1, seed=0).mean()
        assert 8 * len(data) / x.size == pytest.approx(bound, rel=0.02)


def test_mixtures_are_coded_exactly(squares):
    model = small(decoder_distribution="discretized_logistic_mixture")
    model.compile(keras.optimizers.Adam(3e-3))
    long_fit(model, squares[0], None, 30)
    data = model.compress(squares[0])
    np.testing.assert_array_equal(model.decompress(data), squares[0])
    bound = model.bits_per_dim(squares[0], num_importance_samples=1, seed=0).mean()
    assert 8 * len(data) / squares[0].size == pytest.approx(bound, rel=0.05)


def test_quantized_layers_and_layers_without_bias(squares):
    x, _ = squares
    encoder = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(6, use_bias=False)])
    model = small(encoder=encoder)
    np.testing.assert_array_equal(model.decompress(model.compress(x)), x)
    adapted = small(encoder="dense", decoder="dense")
    adapted.encoder.layers[-1].enable_lora(2)
    with pytest.raises(InputError, match="LoRA"):
        adapted.compress(x)


def test_weights_that_are_no_numbers():
    with pytest.raises(CheckpointError, match="too large"):
        fixed_point.check_exact(1.0, float("nan"))


def test_blocks():
    assert blocks(1) == [(0, 1)]
    assert blocks(9) == [(0, 1), (1, 2), (2, 4), (4, 8), (8, 9)]
    assert blocks(200)[-2:] == [(128, 192), (192, 200)]


def test_any_pixels_and_sizes(model):
    """Images unlike those that it knows cost more, and come back too."""
    rng = np.random.default_rng(0)
    for x in (
        rng.integers(0, 256, (3, 8, 8, 1), dtype=np.uint8),
        rng.integers(0, 256, (1, 19, 5, 1), dtype=np.uint8),
        np.zeros((70, 8, 8, 1), np.uint8),
        np.full((2, 9, 8, 1), 255, np.uint8),
    ):
        np.testing.assert_array_equal(model.decompress(model.compress(x)), x)


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_another_process_and_backend(model, squares, tmp_path, backend):
    pytest.importorskip(backend)
    (tmp_path / "data").write_bytes(model.compress(squares[0]))
    model.save(tmp_path / "model")
    code = f"""
import os
os.environ["KERAS_BACKEND"] = {backend!r}
import kerasgen, numpy
model = kerasgen.load({str(tmp_path / "model")!r})
numpy.save({str(tmp_path / "x.npy")!r}, model.decompress(open({str(tmp_path / "data")!r}, "rb").read()))
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), squares[0])


def test_what_cannot_be_coded(model, squares):
    x, _ = squares
    data = model.compress(x[:2])
    for call, message in [
        (lambda: model.compress(x / np.float32(255.0)), "expected uint8"),
        (lambda: model.compress(x[..., 0]), "expected uint8"),
        (lambda: small(decoder_distribution="bernoulli").compress(x), "discretized distributions"),
        (lambda: small(num_classes=4).compress(x), "no classes"),
        (lambda: small(encoder={"class": "spatial", "levels": 1}, latent_dim=8).compress(x), "whole numbers"),
        (lambda: small().decompress(data), "another model"),
        (lambda: model.decompress(data[:-1]), "cut short"),
    ]:
        with pytest.raises(InputError, match=message):
            call()
    large = small(encoder="dense")
    large.encoder.layers[-1].kernel.assign(np.full(large.encoder.layers[-1].kernel.shape, 1e9))
    with pytest.raises(CheckpointError, match="too large"):
        large.compress(x)
