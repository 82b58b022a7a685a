"""Replicas: the same step as one device on the whole batch, and noise of their own.

Where the devices of this process are too few, the fixtures of conftest.py have made two of the one CPU.
"""

import keras
import numpy as np
import pytest
from keras import ops

from kerasgen import GAN, Autoencoder, CycleGAN, DiffusionModel, GANOptimizer, Glow, Pix2Pix, VariationalAutoencoder
from kerasgen.gans.adversarial import AdversarialModel
from kerasgen.gans.translator import Translator


class QuietVAE(VariationalAutoencoder):
    """The noise of a training step is zero."""

    def normal(self, shape):
        return ops.zeros(shape)


class QuietAutoencoder(Autoencoder):
    def normal(self, shape):
        return ops.zeros(shape)


class QuietGlow(Glow):
    def uniform(self, shape):
        return ops.full(shape, 0.5)


class QuietDiffusionModel(DiffusionModel):
    def normal(self, shape):
        return ops.full(shape, 0.5)

    def random_times(self, num):
        return tuple(ops.full((num,), value) for value in (500.0, 0.8, 0.6))


class QuietGAN(GAN):
    def normal(self, shape):
        return ops.full(shape, 0.5)

    def uniform(self, shape):
        return ops.full(shape, 0.5)


class QuietCycleGAN(CycleGAN):
    """Without its pools, which would be those of the first replica."""

    def exchange_fakes(self, fakes):
        return fakes


def make_vae(family=QuietVAE):
    return family((8, 8, 1), 3, width=8, num_classes=4, free_bits=0.3, beta=2.0, kl_warmup_steps=3)


def make_autoencoder(family=QuietAutoencoder):
    return family((8, 8, 1), 3, width=8, noise_stddev=0.1)


def make_glow(family=QuietGlow):
    """Its ActNorms take the statistics of the whole first batch, not of a replica's part."""
    return family((8, 8, 1), levels=2, steps=1, width=8, num_classes=4)


def make_diffusion(family=QuietDiffusionModel):
    network = {"class": "DiT", "width": 8, "depth": 1, "heads": 2}
    return family((8, 8, 1), num_classes=4, network=network, label_dropout=0.0)


def make_gan(family=QuietGAN):
    """Its batch normalization takes the statistics of the whole batch, too."""
    networks = ({"class": "conv", "width": 4}, {"class": "conv", "width": 4, "normalization": "spectral"})
    return family((8, 8, 1), 3, *networks, num_classes=4, penalty="gradient_penalty")


def make_pix2pix(family=Pix2Pix):
    return family((8, 8, 1), generator={"class": "UNet", "width": 4}, discriminator=PATCH)


def make_cyclegan(family=QuietCycleGAN):
    return family((8, 8, 1), generator={"class": "UNet", "width": 4}, discriminator=PATCH, pool_size=8)


PATCH = {"class": "patch", "width": 4, "levels": 1}
FAMILIES = {
    make_vae: VariationalAutoencoder,
    make_autoencoder: Autoencoder,
    make_glow: Glow,
    make_diffusion: DiffusionModel,
    make_gan: GAN,
    make_pix2pix: Pix2Pix,
    make_cyclegan: CycleGAN,
}


def trained(make, images, scope=None):
    """Weights and losses after three steps of the whole batch, in the scope of a strategy or in none."""
    x, y = images
    keras.utils.set_random_seed(0)

    def run():
        model = make()
        optimizers = [keras.optimizers.SGD(0.01, momentum=0.9) for _ in range(2)]
        model.compile(GANOptimizer(*optimizers) if isinstance(model, AdversarialModel) else optimizers[0])
        labels = 255 - x if isinstance(model, Translator) else y if model.num_classes else None
        logs = model.fit(x, labels, batch_size=32, epochs=3, shuffle=False, verbose=0).history[model.loss_names[0]]
        return [ops.convert_to_numpy(v) for v in model.trainable_variables], logs

    if scope is None:
        return run()
    with scope:
        return run()


def assert_same_training(one, two):
    for a, b in zip(one[0], two[0], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    np.testing.assert_allclose(one[1], two[1], rtol=1e-5)


def mirrored():
    import tensorflow as tf

    # TensorFlow's collectives, the default, are not ordered among CPU devices and may meet the wrong partner.
    return tf.distribute.MirroredStrategy(
        [d.name for d in tf.config.list_logical_devices("CPU")[:2]],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )


@pytest.mark.backend("tensorflow")
@pytest.mark.parametrize("make", FAMILIES)
def test_two_tensorflow_replicas_take_the_step_of_one(make, images):
    assert_same_training(trained(make, images), trained(make, images, mirrored().scope()))


@pytest.mark.backend("tensorflow")
def test_tensorflow_replicas_draw_different_noise():
    strategy = mirrored()
    with strategy.scope():
        model = make_vae(VariationalAutoencoder)
    draws = [strategy.run(lambda: model.normal((4, 3))) for _ in range(2)]
    values = [value.numpy() for draw in draws for value in strategy.experimental_local_results(draw)]
    assert len(values) == 4
    for i, a in enumerate(values):
        for b in values[:i]:
            assert np.abs(a - b).min() > 1e-6


@pytest.mark.backend("jax")
@pytest.mark.parametrize("make", FAMILIES)
@pytest.mark.parametrize("noise", [False, True])
def test_jax_data_parallel_equals_one_device(make, noise, images):
    """Noise and all: a step is one program over the global batch."""
    import jax

    build = (lambda: make(FAMILIES[make])) if noise else make
    assert len(jax.devices()) == 2
    one = trained(build, images)
    distribution = keras.distribution.DataParallel(devices=jax.devices())
    assert_same_training(one, trained(build, images, distribution.scope()))
