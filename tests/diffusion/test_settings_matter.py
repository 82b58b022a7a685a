"""Settings of training and sampling, on networks whose answers are set by hand so that each setting shows."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats

from kerasgen import DiffusionModel, FlowMatching
from kerasgen.diffusion import schedules
from kerasgen.diffusion.samplers import spacings

SHAPE, CONSTANT, LEVELS = (2, 2, 1), 0.3, 32  # all images are of one value, on the scale of [-1, 1]
IMAGE = 0.5 * (CONSTANT + 1.0)


class Told(keras.layers.Layer):
    """The velocity to an image of 0.2 times its label, counted from 1; to one of 0, plus `miss`, where not told."""

    def __init__(self, num_classes, miss=0.0, **kwargs):
        super().__init__(**kwargs)
        self.values, self.miss = 0.2 * np.arange(1.0, num_classes + 1.0, dtype=np.float32), miss
        self.one = self.add_weight(shape=(), initializer="ones", name="one")  # PyTorch asks for something to train
        self.built = True

    def call(self, x, time, one_hot=None, training=False):
        wide = (-1, *[1] * len(SHAPE))
        told = ops.reshape(ops.sum(one_hot * ops.convert_to_tensor(self.values), axis=1), wide)
        lost = ops.reshape(1.0 - ops.sum(one_hot, axis=1), wide)
        return self.one * ((told - x) / ops.reshape(ops.maximum(time / 1000.0, 1e-6), wide) + self.miss * lost)


class Perfect(keras.layers.Layer):
    """What a network says that knows that x_0 is `CONSTANT`, or takes it to be `off` more."""

    def __init__(self, prediction, off=0.0, **kwargs):
        super().__init__(**kwargs)
        self.prediction, self.off, self.table = prediction, off, None
        self.built = True

    def call(self, x, time, one_hot=None, training=False):
        if self.table is None:  # flow matching
            sigma = time / 1000.0
            alpha = 1.0 - sigma
        else:
            at = ops.cast(ops.round(time * (LEVELS / 1000.0)), "int32")
            alpha, sigma = (ops.take(ops.convert_to_tensor(t, "float32"), at) for t in self.table[1:])
        alpha, sigma = (ops.reshape(a, (-1, 1, 1, 1)) for a in (alpha, sigma))
        x0 = CONSTANT + self.off
        e = (x - alpha * x0) / sigma
        return {"epsilon": e, "x0": x0 + 0.0 * x, "v": alpha * e - sigma * x0, "velocity": x0 - e}[self.prediction]


def diffusion(prediction, off=0.0, **arguments):
    network = Perfect(prediction, off)
    model = DiffusionModel(SHAPE, network=network, num_steps=LEVELS, prediction=prediction, **arguments)
    network.table = model.table()
    return model


def mean_loss(model):
    """Over a batch that has each level of the chain once."""
    model.compile(keras.optimizers.SGD(0.0))
    x = np.full((LEVELS, *SHAPE), IMAGE, np.float32)
    return model.evaluate(x, batch_size=LEVELS, verbose=0, return_dict=True)["loss"]


@pytest.mark.parametrize("guidance", [0.0, 0.5, 1.0, 2.0, 3.0])
def test_guidance_goes_on_from_the_untold(guidance):
    model = FlowMatching(SHAPE, num_classes=3, network=Told(3))
    drawn = 2.0 * model.sample(6, seed=0, steps=1, guidance=guidance) - 1.0
    expected = np.clip(guidance * 0.2 * (1 + np.arange(6) % 3), -1.0, 1.0)
    np.testing.assert_allclose(drawn.reshape(6, -1), np.repeat(expected[:, None], 4, axis=1), atol=1e-4)


@pytest.mark.parametrize("label_dropout", [0.0, 0.3])
def test_labels_are_dropped_in_training_alone(label_dropout):
    """A network that is right where it is told, and off by 1 where not: the loss is the share of labels dropped."""
    model = FlowMatching(SHAPE, num_classes=3, network=Told(3, miss=1.0), label_dropout=label_dropout)
    model.compile(keras.optimizers.SGD(0.0))
    labels = np.arange(3000) % 3
    x = np.broadcast_to(0.5 + 0.1 * (1.0 + labels[:, None, None, None]), (3000, *SHAPE)).astype(np.float32)
    found = model.fit(x, labels, batch_size=1000, verbose=0).history["loss"][0]
    assert found == pytest.approx(label_dropout, abs=1e-3 if label_dropout == 0.0 else 0.03)
    assert model.evaluate(x, labels, batch_size=1000, verbose=0, return_dict=True)["loss"] < 1e-3


PERFECT = {
    **{prediction: lambda p=prediction: diffusion(p) for prediction in ("epsilon", "x0", "v")},
    "flow": lambda: FlowMatching(SHAPE, network=Perfect("velocity")),
    "flow, x0": lambda: FlowMatching(SHAPE, network=Perfect("x0"), prediction="x0", times="uniform"),
}


@pytest.mark.parametrize("kind", PERFECT)
def test_a_network_that_knows_costs_nothing_and_draws_what_it_knows(kind):
    model = PERFECT[kind]()
    # From x_0 a velocity is had by division by at least 0.05, which costs a little near the data.
    assert mean_loss(model) < (0.05 if kind == "flow, x0" else 1e-5)
    np.testing.assert_allclose(model.sample(3, seed=0, steps=6), IMAGE, atol=1e-3)
    estimate = model.x0_from_output(*off_line(model))
    np.testing.assert_allclose(ops.convert_to_numpy(estimate), CONSTANT, atol=1e-4)


def off_line(model):
    """x, what the network gives for it, alpha and sigma, at some level in the middle."""
    levels = model.levels(4, "trailing")
    alpha, sigma, time = (np.float32(table[2]) for table in (levels.alpha, levels.sigma, levels.time))
    x = ops.convert_to_tensor(np.random.default_rng(0).normal(size=(2, *SHAPE)), "float32")
    output = model.network_output(x, ops.zeros((2,)) + time, model.condition_for(None))
    return x, output, alpha, sigma


@pytest.mark.parametrize("loss", ["simple", "min_snr", "edm"])
@pytest.mark.parametrize("prediction", ["epsilon", "x0", "v"])
def test_weights_of_levels(prediction, loss):
    """A network that is off by 0.1 in x_0 at all levels: the loss is the mean weight of the error of x_0, / 100."""
    model = diffusion(prediction, 0.1, loss=loss, schedule="sigmoid", min_snr_gamma=2.0)
    _, alpha, sigma = model.table()
    snr = (alpha / sigma) ** 2
    assert (snr > 2.0).any() and (snr < 2.0).any()
    simple = {"epsilon": snr, "x0": np.ones_like(snr), "v": snr + 1.0}[prediction]
    expected = {"simple": simple, "min_snr": np.minimum(snr, 2.0), "edm": snr + 1.0}[loss].mean()
    assert mean_loss(model) == pytest.approx(0.01 * expected, rel=1e-3)


def test_temperature_scales_the_noise():
    """A network that says nothing leaves the noise: its spread is the temperature; at 0 all seeds draw the same."""
    model = FlowMatching((3,), network={"class": "MLP", "width": 4, "depth": 1})
    model.network.set_weights([np.zeros_like(weight) for weight in model.network.get_weights()])
    spread = [model.sample(2000, seed=0, steps=2, temperature=t, batch_size=2000).std() for t in (1.0, 0.5, 0.0)]
    np.testing.assert_allclose(spread, [1.0, 0.5, 0.0], atol=0.03)


@pytest.mark.parametrize("times", ["uniform", "logit_normal"])
def test_times_of_flow_matching(times):
    s = ops.convert_to_numpy(FlowMatching((3,), times=times).random_times(4096)).astype(np.float64)
    distribution = stats.kstest(s, "uniform") if times == "uniform" else stats.kstest(np.log(s / (1.0 - s)), "norm")
    assert distribution.pvalue > 1e-3


def test_schedules_are_those_of_the_papers():
    t = np.linspace(0.0, 1.0, 1001)
    # Song et al. 2021b: the integral of betas from 0.1 to 20; in 1000 steps those of Ho et al. 2020.
    betas = 0.1 + 19.9 * (t[1:] + t[:-1]) / 2.0
    np.testing.assert_allclose(-schedules.linear(np, t)[1:], np.cumsum(betas) / 1000.0, rtol=1e-9)
    chain = schedules.discrete("linear", 1000)
    np.testing.assert_allclose(-np.expm1(np.diff(chain, prepend=0.0)), np.linspace(1e-4, 0.02, 1000), rtol=1e-9)
    # Nichol and Dhariwal 2021, equation 17.
    f = np.cos((t + 0.008) / 1.008 * np.pi / 2.0) ** 2
    np.testing.assert_allclose(np.exp(schedules.cosine(np, t))[:-1], (f / f[0])[:-1], rtol=1e-9)
    ratios = np.maximum(f[1:] / f[:-1], 1.0 - 0.999)
    np.testing.assert_allclose(schedules.discrete("cosine", 1000), np.cumsum(np.log(ratios)), rtol=1e-6)
    # Lin et al. 2024, algorithm 1: the last is noise alone, the first as it was, all between shifted and scaled alike.
    alpha, zero = np.exp(0.5 * chain), np.exp(0.5 * schedules.to_zero_terminal_snr(chain))
    assert zero[-1] == 0.0
    assert zero[0] == pytest.approx(alpha[0])
    slope = np.diff(zero) / np.diff(alpha)
    np.testing.assert_allclose(slope, slope[0], rtol=1e-6)


def test_spacings():
    """Lin et al. 2024, table 2; Karras et al. 2022, equation 5."""
    np.testing.assert_array_equal(spacings.discrete(1000, 5, "trailing"), [999, 799, 599, 399, 199])
    np.testing.assert_array_equal(spacings.discrete(1000, 5, "leading"), [800, 600, 400, 200, 0])
    np.testing.assert_array_equal(spacings.discrete(1000, 4, "linspace"), [999, 666, 333, 0])
    found = spacings.karras(0.002, 80.0, 7)
    np.testing.assert_allclose(found[[0, -1]], [80.0, 0.002])
    np.testing.assert_allclose(np.diff(found ** (1 / 7), 2), 0.0, atol=1e-12)
