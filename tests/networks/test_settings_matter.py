"""Layers against their formulas in NumPy."""

import numpy as np
from keras import ops

from kerasgen.networks.layers.attention import SelfAttention
from kerasgen.networks.layers.conditioning import Conditioning


def softmax(x):
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)


def test_self_attention():
    """softmax(q k^T / sqrt(C / heads)) v, head by head (Vaswani et al. 2017, equation 1)."""
    layer = SelfAttention(8, heads=2)
    x = 3.0 * np.random.default_rng(0).normal(size=(2, 3, 3, 8)).astype(np.float32)
    found = ops.convert_to_numpy(layer(x))
    kernel, bias, out_kernel, out_bias = (ops.convert_to_numpy(v) for v in layer.weights)
    q, k, v = np.split(x.reshape(2, 9, 8) @ kernel + bias, 3, axis=-1)
    heads = []
    for head in (slice(0, 4), slice(4, 8)):
        heads.append(softmax(q[..., head] @ k[..., head].swapaxes(1, 2) / 2.0) @ v[..., head])
    expected = np.concatenate(heads, axis=-1) @ out_kernel + out_bias
    np.testing.assert_allclose(found.reshape(2, 9, 8), expected, atol=1e-4)


def test_conditioning_on_time_and_class():
    """Cosines and sines of the time, through two layers; a class adds its row, and none adds nothing."""
    layer = Conditioning(6, num_classes=3)
    time = np.array([3.0, 700.0], np.float32)
    angles = time[:, None] * 10_000.0 ** (-np.arange(3) / 3.0)
    waves = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    kernel, bias, out_kernel, out_bias = (
        ops.convert_to_numpy(v) for dense in (layer.hidden, layer.out) for v in (dense.kernel, dense.bias)
    )
    hidden = waves @ kernel + bias
    expected = hidden / (1.0 + np.exp(-hidden)) @ out_kernel + out_bias
    np.testing.assert_allclose(ops.convert_to_numpy(layer(time, np.zeros((2, 3), np.float32))), expected, atol=1e-4)
    told = ops.convert_to_numpy(layer(time, np.eye(3, dtype=np.float32)[[2, 0]]))
    np.testing.assert_allclose(told - expected, ops.convert_to_numpy(layer.classes.kernel)[[2, 0]], atol=1e-4)
