"""Functions that TensorFlow gets as one kernel: the same values and derivatives, in programs and outside of them."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import special, stats

from kerasgen import FlowMatching, backend
from kerasgen.backend import gelu, silu

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def kernels(monkeypatch):
    """Small tensors get kernels, too."""
    if keras.backend.backend() == "tensorflow":
        monkeypatch.setattr("kerasgen.backend.tensorflow.LARGE", 1)


def numbers(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def run(function, *arrays):
    program = backend.compiled(FlowMatching((2,), network={"class": "MLP", "width": 4, "depth": 1}), function)
    return [ops.convert_to_numpy(x) for x in program(*map(ops.convert_to_tensor, arrays))]


def gelu_and_slopes(x):
    cumulative, density = stats.norm.cdf(x), stats.norm.pdf(x)
    return x * cumulative, cumulative + x * density, (2.0 - x**2) * density


def silu_and_slopes(x):
    gate = special.expit(x)
    slope = gate * (1.0 - gate)
    return x * gate, gate + x * slope, slope * (2.0 + x * (1.0 - 2.0 * gate))


@pytest.mark.parametrize(("function", "known"), [(gelu, gelu_and_slopes), (silu, silu_and_slopes)])
def test_activations(function, known):
    """Values, first and second derivatives in a program; values outside of one; the dtype of what is read."""

    def derivative(x):
        return backend.gradient(lambda x: ops.sum(function(x)), x)

    def all_three(x):
        return function(x), derivative(x), backend.gradient(lambda x: ops.sum(derivative(x)), x)

    x = numbers(64, 5) * 3.0
    found, expected = run(all_three, x), known(x.astype(np.float64))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(function(ops.convert_to_tensor(x))), expected[0], atol=1e-5)
    (half,) = run(lambda x: (ops.cast(function(ops.cast(x, "bfloat16")), "float32"),), x)
    np.testing.assert_allclose(half, expected[0], atol=0.05)
    assert keras.backend.standardize_dtype(function(ops.cast(x, "bfloat16")).dtype) == "bfloat16"


def test_training_is_the_same(monkeypatch):
    """Batches of two sizes, in steps of which half hold the kernels and half do not."""
    network = {"class": "DiT", "width": 8, "depth": 2, "heads": 2, "patch": 2}
    results = []
    for large in (1, 10**9):
        if keras.backend.backend() == "tensorflow":
            monkeypatch.setattr("kerasgen.backend.tensorflow.LARGE", large)
        model = FlowMatching((8, 8, 1), network=network)
        rng = np.random.default_rng(0)
        for variable in model.trainable_variables:
            variable.assign(0.2 * rng.standard_normal(variable.shape))
        model.compile(keras.optimizers.SGD(1e-2))
        model.fit(np.arange(640, dtype=np.uint8).reshape(10, 8, 8, 1), batch_size=4, epochs=2, verbose=0, shuffle=False)
        results.append([*model.get_weights(), model.sample(2, steps=3, seed=0)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.backend("tensorflow")
def test_graphs_of_others_have_no_kernels():
    """What is exported runs where there is no XLA."""
    import tensorflow as tf

    spec = tf.TensorSpec((4, 8))
    foreign = tf.function(lambda x: gelu(x)).get_concrete_function(spec)
    assert {operation.type for operation in foreign.graph.get_operations()} & {"Erf", "Erfc"}
    own = backend.compiled(None, gelu).get_concrete_function(spec)
    types = {operation.type for operation in own.graph.get_operations()}
    assert not types & {"Erf", "Erfc"}
    assert types & {"StatefulPartitionedCall", "PartitionedCall"}
