"""Settings of GANs, on critics and generators whose weights are set by hand."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasgen import GAN, CycleGAN, GANOptimizer


def still():
    return GANOptimizer(keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.0))


def linear_critic(weights):
    dense = layers.Dense(1)
    critic = keras.Sequential([keras.Input((len(weights),)), dense, layers.Reshape(())])
    dense.kernel.assign(np.array(weights, np.float32)[:, None])
    return critic


@pytest.mark.parametrize("interval", [1, 2, 4])
def test_a_lazy_penalty_weighs_as_much_as_a_busy_one(interval):
    """In the mean over the steps: one in `interval` steps has it, `interval` times as heavy (Karras et al. 2020)."""
    penalty = {"class": "r1", "weight": 3.0, "interval": interval}
    model = GAN((3,), 2, discriminator=linear_critic([1.0, -2.0, 0.5]), penalty=penalty)
    model.compile(still())
    x = np.random.default_rng(0).normal(size=(32, 3)).astype(np.float32)
    logs = model.fit(x, batch_size=4, verbose=0).history
    assert logs["penalty"][0] == pytest.approx(3.0 * 0.5 * (1.0 + 4.0 + 0.25), rel=1e-4)
    steps = [float(model.train_on_batch(x[:4], return_dict=True)["penalty"]) for _ in range(interval)]
    assert len(set(np.round(steps, 3))) == min(interval, 2)


def test_standing_statistics_are_those_of_the_weights():
    """Whatever training left: mean and variance of W z + b for z ~ N(0, I) are b and |w|^2."""
    dense, norm = layers.Dense(5), layers.BatchNormalization(momentum=0.5)
    generator = keras.Sequential([keras.Input((4,)), dense, norm, layers.Dense(3)])
    dense.bias.assign(np.arange(5.0))
    norm.moving_mean.assign(np.full(5, 50.0))
    norm.moving_variance.assign(np.full(5, 50.0))
    model = GAN((3,), 4, generator)
    model.prepare_sampling(np.zeros((10, 3), np.float32))
    variance = np.square(ops.convert_to_numpy(dense.kernel)).sum(axis=0)
    np.testing.assert_allclose(norm.moving_mean, np.arange(5.0), atol=0.4)
    np.testing.assert_allclose(norm.moving_variance, variance, rtol=0.4)


def test_losses_of_a_cyclegan_in_closed_form():
    """With networks that are constant: equations 2 and 3, section 5.2, and half the discriminators' loss."""

    def constant(value, channels=1):
        inputs = keras.Input((8, 8, 1))
        layer = layers.Conv2D(
            channels, 1, kernel_initializer="zeros", bias_initializer=keras.initializers.Constant(value)
        )
        return keras.Model(inputs, layer(inputs))

    def judge(value):
        network = constant(value)
        return keras.Model(network.inputs, layers.Reshape((8, 8))(network.outputs[0]))

    model = CycleGAN(
        (8, 8, 1),
        generator=[constant(0.5), constant(-0.25)],
        discriminator=[judge(0.3), judge(-0.2)],
        cycle_weight=7.0,
        identity_weight=2.0,
    )
    model.compile(still())
    a, b = np.full((4, 8, 8, 1), 0.5, np.float32), np.full((4, 8, 8, 1), 0.75, np.float32)  # 0 and 0.5 of [-1, 1]
    logs = model.evaluate(a, b, verbose=0, return_dict=True)
    cycle = abs(0.0 - -0.25) + abs(0.5 - 0.5)
    identity = abs(0.0 - -0.25) + abs(0.5 - 0.5)
    assert logs["cycle_distance"] == pytest.approx(cycle)
    assert logs["identity_distance"] == pytest.approx(identity)
    adversarial = 0.5 * (0.3 - 1.0) ** 2 + 0.5 * (-0.2 - 1.0) ** 2
    assert logs["generator_loss"] == pytest.approx(adversarial + 7.0 * cycle + 2.0 * identity, rel=1e-5)
    discriminator = sum(0.5 * 0.5 * ((d - 1.0) ** 2 + d**2) for d in (0.3, -0.2))
    assert logs["discriminator_loss"] == pytest.approx(discriminator, rel=1e-5)
