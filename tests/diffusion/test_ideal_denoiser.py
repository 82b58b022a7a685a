"""Gaussian data, whose ideal denoiser is a formula: samples, codes and likelihoods of whole models are then known."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy.special import expit, ndtr

from kerasgen import DiffusionModel, FlowMatching
from kerasgen.diffusion.samplers import SAMPLERS
from kerasgen.errors import InputError

SHAPE = (4, 2, 1)
MEAN = np.linspace(-0.2, 0.2, 8).reshape(SHAPE)
STD = np.linspace(0.12, 0.2, 8).reshape(SHAPE)  # x_0 ~ N(MEAN, STD^2), pixel by pixel


def ideal(x, alpha, sigma, mean=MEAN, std=STD):
    """E[x_0 | x] = m + alpha v / (alpha^2 v + sigma^2) (x - alpha m), v the variance."""
    return mean + alpha * std**2 / (alpha * alpha * std**2 + sigma * sigma) * (x - alpha * mean)


class Ideal(keras.layers.Layer):
    """What a perfect network says.

    alpha and sigma are read from a table by time, so that the model's own are put to the test.
    """

    def __init__(self, kind):
        super().__init__()
        self.kind, self.table, self.scale = kind, None, 1.0
        self.built = True

    def call(self, x, time, one_hot=None, training=False):
        if self.kind == "flow":
            sigma = time / 1000.0
            alpha = 1.0 - sigma
        else:
            times, alphas, sigmas = (ops.convert_to_tensor(t, "float32") for t in self.table)
            at = ops.clip((time - times[0]) / (times[1] - times[0]), 0.0, times.shape[0] - 1.0)
            # log(sigma / alpha) between the rows.
            low = ops.cast(ops.minimum(ops.floor(at), times.shape[0] - 2), "int32")
            part = at - ops.cast(low, "float32")
            log_s = ops.log(sigmas / ops.maximum(alphas, 1e-30))
            log_s = ops.take(log_s, low) * (1.0 - part) + ops.take(log_s, low + 1) * part
            alpha, sigma = ops.sqrt(ops.sigmoid(-2.0 * log_s)), ops.sqrt(ops.sigmoid(2.0 * log_s))
        alpha, sigma = alpha[:, None, None, None], sigma[:, None, None, None]
        x0 = ideal(x, alpha, sigma, *(ops.convert_to_tensor(c / self.scale, "float32") for c in (MEAN, STD)))
        if self.kind == "flow":  # x_0 - e, with e = (x - alpha x_0) / sigma
            return (x0 - x) / ops.maximum(sigma, 1e-6)
        return (alpha * x - x0) / ops.maximum(sigma, 1e-6)  # v


def flow():
    return FlowMatching(shape=SHAPE, network=Ideal("flow"))


def diffusion(**arguments):
    network = Ideal("diffusion")
    model = DiffusionModel(shape=SHAPE, network=network, **arguments)
    network.table, network.scale = model.table(), model.sigma_data
    return model


MODELS = {
    "discrete": lambda: diffusion(num_steps=1000),
    "linear": lambda: diffusion(num_steps=1000, schedule="linear"),
    "continuous": lambda: diffusion(num_steps=None),
    "edm": lambda: diffusion(num_steps=None, schedule="edm", sigma_data=0.5, loss="edm"),
    "flow": flow,
}


def data(num):
    """8-bit images of the distribution, and log P of each, exactly."""
    x = MEAN + STD * np.random.default_rng(0).standard_normal((num, *SHAPE))
    k = np.clip(np.round(127.5 * (x + 1.0)), 0, 255)
    edges = [np.where(k == 255, np.inf, (k + 0.5) / 127.5 - 1.0), np.where(k == 0, -np.inf, (k - 0.5) / 127.5 - 1.0)]
    high, low = (ndtr((edge - MEAN) / STD) for edge in edges)
    return k.astype(np.uint8), np.log(high - low).sum(axis=(1, 2, 3))


@pytest.mark.parametrize("name", MODELS)
def test_samples(name):
    """Mean and standard deviation of each pixel with every sampler and spacing; `tests/samplers` has their orders."""
    model = MODELS[name]()
    for sampler, spacing in [(s, "trailing") for s in SAMPLERS] + [
        ("dpm++", s) for s in ("leading", "linspace", "karras")
    ]:
        settings = {"sampler": sampler, "spacing": spacing, "steps": 400}
        x = 2.0 * model.sample(2048, seed=0, batch_size=2048, **settings) - 1.0
        np.testing.assert_allclose(x.mean(axis=0), MEAN, atol=0.02, err_msg=str(settings))
        np.testing.assert_allclose(x.std(axis=0), STD, rtol=0.1, err_msg=str(settings))


@pytest.mark.parametrize("name", ["continuous", "edm", "flow"])
def test_ode_likelihood_is_exact(name):
    model = MODELS[name]()
    assert model.likelihood == "estimate"
    x, exact = data(256)
    found = model.log_prob(x, seed=1, batch_size=256)
    assert abs((found - exact).mean()) / model.num_dims < 0.01
    np.testing.assert_allclose(model.bits_per_dim(x, seed=1), -found / (8 * np.log(2.0)), rtol=1e-5)
    with pytest.raises(InputError, match="multiple of 4"):
        model.log_prob(x, num_evaluations=10)


@pytest.mark.parametrize("name", ["discrete", "linear"])
def test_variational_bound(name):
    """Below log P, as far as the sum over all levels says, worked out here with scipy; however many are drawn."""
    model = MODELS[name]()
    assert model.likelihood == "bound"
    _, alpha, sigma = model.table()
    snr, v = (alpha / sigma) ** 2, np.square(STD)[..., None]
    left = v / (1.0 + v * snr)  # E |x_0 - E[x_0 | x_k]|^2, [..., T]
    diffusion = 0.5 * ((snr[:-1] - snr[1:]) * left[..., 1:]).sum()
    prior = 0.5 * (alpha[-1] ** 2 * (v[..., 0] + MEAN**2) + sigma[-1] ** 2 - 1.0 - 2.0 * np.log(sigma[-1])).sum()
    rng = np.random.default_rng(1)
    x, _ = data(20_000)
    k = x.astype(np.float64)
    noisy = alpha[0] * (k / 127.5 - 1.0) + sigma[0] * rng.standard_normal(k.shape)
    mean = 127.5 * (1.0 + ideal(noisy, alpha[0], sigma[0]))
    scale = 127.5 * sigma[0] / alpha[0] * np.sqrt(3.0) / np.pi
    high, low = np.where(k == 255, np.inf, k + 0.5), np.where(k == 0, -np.inf, k - 0.5)
    decoder = np.log(expit((high - mean) / scale) - expit((low - mean) / scale)).sum(axis=(1, 2, 3))
    expected = decoder.mean() - diffusion - prior
    x, exact = data(2048)
    assert expected < exact.mean()
    for num in (5, 200):
        found = model.log_prob(x, seed=1, num_evaluations=num, batch_size=2048)
        error = np.sqrt(found.var() / len(x) + decoder.var() / len(k))
        assert abs(found.mean() - expected) < 4.0 * error
