"""Convolutions that enlarge or halve are what they stand for: repetition or means beside a plain convolution."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasgen.errors import InputError
from kerasgen.networks.layers.convolution import Conv2D

RNG = np.random.default_rng(0)


def plain(x, layer):
    """The two operations one after the other, in NumPy but for the convolution."""
    resample = layer.resample
    if resample == "enlarge":
        x = x.repeat(2, axis=1).repeat(2, axis=2)
        x = x if layer.sides is None else x[:, : layer.sides[0], : layer.sides[1]]
    y = ops.convert_to_numpy(ops.conv(x, layer.kernel.value, 1, "same", data_format="channels_last"))
    if resample == "halve":
        height, width = y.shape[1:3]
        blocks = [y[:, i : i + 2, j : j + 2].mean(axis=(1, 2)) for i in range(0, height, 2) for j in range(0, width, 2)]
        y = np.stack(blocks, axis=1).reshape(len(y), -(-height // 2), -(-width // 2), -1)
    return y + ops.convert_to_numpy(layer.bias.value)


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize(
    ("resample", "sides", "given"),
    [
        ("enlarge", (5, 3), None),
        ("enlarge", (4, 4), (8, 8)),
        ("enlarge", (4, 4), (7, 8)),
        ("halve", (6, 4), None),
        ("halve", (5, 4), None),
        ("halve", (7, 3), None),
    ],
)
def test_resampling(resample, sides, given, kernel):
    x = RNG.normal(size=(2, *sides, 3)).astype(np.float32)
    layer = Conv2D(4, kernel, resample=resample, sides=given, bias_initializer="normal")
    y = ops.convert_to_numpy(layer(x))
    np.testing.assert_allclose(y, plain(x, layer), atol=2e-5)
    assert layer.compute_output_shape(x.shape) == y.shape
    again = Conv2D.from_config(layer.get_config())
    again.build(x.shape)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(ops.convert_to_numpy(again(x)), y)


def test_an_image_of_any_size():
    """Sides that are not known when a model is made."""
    inputs = keras.Input((None, None, 3), dtype="float32")
    layers = [Conv2D(4, 3, resample="enlarge"), Conv2D(4, 3, resample="halve")]
    model = keras.Model(inputs, [layer(inputs) for layer in layers])
    assert [y.shape for y in model.outputs] == [(None, None, None, 4)] * 2
    for sides in ((4, 6), (5, 3)):
        x = RNG.normal(size=(2, *sides, 3)).astype(np.float32)
        for y, layer in zip(model.predict(x, verbose=0), layers, strict=True):
            np.testing.assert_allclose(y, plain(x, layer), atol=2e-5)


@pytest.mark.parametrize(
    "wrong", [{"kernel_size": 4}, {"strides": 2}, {"dilation_rate": 2}, {"padding": "valid"}, {"resample": "double"}]
)
def test_what_cannot_be_resampled(wrong):
    with pytest.raises(InputError, match="expected 'enlarge', 'halve' or None"):
        Conv2D(4, **{"kernel_size": 3, "resample": "halve", **wrong})


@pytest.mark.parametrize("sides", [(64, 64), (63, 5)])
def test_a_kernel_of_one_with_strides(sides):
    """Every second pixel times a matrix; the step of gradient descent is that of linear regression."""
    x = RNG.normal(size=(32, *sides, 8)).astype(np.float32)
    some = x[:, ::2, ::2]
    target = RNG.normal(size=(*some.shape[:3], 16)).astype(np.float32)
    layer = Conv2D(16, 1, 2, use_bias=False)
    model = keras.Sequential([keras.Input(x.shape[1:], dtype="float32"), layer])
    before = layer.get_weights()[0]
    found = model.predict(x, verbose=0)
    np.testing.assert_allclose(found, some @ before[0, 0], atol=1e-5)
    model.compile(keras.optimizers.SGD(1.0), "mse")
    model.fit(x, target, batch_size=32, verbose=0)
    gradient = 2.0 / target.size * np.einsum("bhwi,bhwo->io", some, found - target)
    np.testing.assert_allclose(before[0, 0] - layer.get_weights()[0][0, 0], gradient, atol=1e-5)
