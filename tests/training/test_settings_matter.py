"""What a recipe's optimizer does, step by step."""

import keras
import numpy as np
import pytest

from kerasgen import GAN
from kerasgen.recipes import Training
from kerasgen.training.optimizers import optimizer, optimizer_of

BASE = {"epochs": 1, "batch_size": 1, "optimizer": "adam", "learning_rate": 0.1}


def test_gradients_are_clipped_by_their_common_norm():
    """Of two variables, (30) and (40) become (0.6) and (0.8), (0.3) and (-0.4) stay: Adam in NumPy."""
    adam = optimizer(Training(**BASE, clip_norm=1.0), 10)
    variables = [keras.Variable([1.0]), keras.Variable([2.0])]
    adam.build(variables)
    m = v = np.zeros(2)
    expected = np.array([1.0, 2.0])
    for step, gradient in enumerate(([30.0, 40.0], [0.3, -0.4]), 1):
        adam.apply([keras.ops.convert_to_tensor([g], "float32") for g in gradient], variables)
        g = np.array(gradient) / max(1.0, np.linalg.norm(gradient))
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        expected = expected - 0.1 * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-7)
    found = np.concatenate([keras.ops.convert_to_numpy(variable) for variable in variables])
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_of_two_players_the_generator_is_averaged_and_rates_differ():
    training = Training(**BASE, ema_momentum=0.9, discriminator_learning_rate=0.3)
    both = optimizer_of(GAN((3,), 2, discriminator_steps=4), training, 10)
    assert both.generator.use_ema
    assert both.generator.ema_momentum == pytest.approx(0.9)
    assert not both.discriminator.use_ema
    rates = [float(keras.ops.convert_to_numpy(player.learning_rate)) for player in (both.generator, both.discriminator)]
    assert rates == pytest.approx([0.1, 0.3])


def test_learning_rates_warm_up_and_fall():
    rate = optimizer(Training(**BASE, schedule="cosine", warmup_steps=10), 110).learning_rate
    schedule = optimizer(Training(**BASE, schedule="cosine", warmup_steps=10), 110)._learning_rate
    assert float(keras.ops.convert_to_numpy(rate)) == 0.0
    found = [float(keras.ops.convert_to_numpy(schedule(step))) for step in (5, 10, 60, 110)]
    assert found == pytest.approx([0.05, 0.1, 0.05, 0.0], abs=1e-6)
