"""Statistics of batch normalization that `fit` leaves: those of its own weights, as plain means over batches."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasgen import GAN, noise
from kerasgen.gans.gan import STANDING_BATCH, STANDING_BATCHES

GENERATOR = {"class": "conv", "width": 4}


class Keep(keras.callbacks.Callback):
    """Keeps the statistics and a sample at the end of each epoch."""

    def __init__(self):
        super().__init__()
        self.statistics, self.samples = [], []

    def on_epoch_end(self, epoch, logs=None):
        self.statistics.append(statistics(self.model))
        self.samples.append(self.model.sample(4, seed=0, verbose=0))


def norms(model):
    return [layer for layer in model.generator._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]


def statistics(model):
    return [ops.convert_to_numpy(v) for norm in norms(model) for v in (norm.moving_mean, norm.moving_variance)]


def plain_means(model):
    """Means over batches of each batch's mean and variance, of what each normalization reads."""
    seen = {id(norm): [] for norm in norms(model)}
    for norm in norms(model):
        norm.call, call = (
            lambda x, *args, _of=seen[id(norm)], _call=norm.call, **kwargs: (
                _of.append(ops.convert_to_numpy(ops.stop_gradient(x))),
                _call(x, *args, **kwargs),
            )[1],
            norm.call,
        )
        norm.plain_call = call
    kept = statistics(model)
    for index in range(STANDING_BATCHES):
        start = index * STANDING_BATCH
        z = noise.normal(start, start + STANDING_BATCH, (model.latent_dim,), model.seed, stream=5)
        model.generate(
            ops.convert_to_tensor(z), model.one_hot(model.sample_labels(None, STANDING_BATCH)), training=True
        )
    means = []
    for norm in norms(model):
        norm.call = norm.plain_call
        batches = np.array(seen[id(norm)], np.float64)
        axes = tuple(range(1, batches.ndim - 1))
        means += [batches.mean(axis=axes).mean(axis=0), batches.var(axis=axes).mean(axis=0)]
    for variable, value in zip(
        [v for n in norms(model) for v in (n.moving_mean, n.moving_variance)], kept, strict=True
    ):
        variable.assign(value)
    return means


def test_fit_leaves_plain_means_of_its_weights(images, tmp_path):
    x, y = images
    model = GAN((8, 8, 1), 4, GENERATOR, {"class": "dense", "width": 8}, num_classes=4)
    model.compile(keras.optimizers.Adam(1e-2, use_ema=True, ema_momentum=0.9))
    momenta = [norm.momentum for norm in norms(model)]
    keep = Keep()
    model.fit(
        x,
        y,
        batch_size=16,
        epochs=2,
        verbose=0,
        callbacks=[keep, keras.callbacks.ModelCheckpoint(tmp_path / "m.keras")],
    )
    assert [norm.momentum for norm in norms(model)] == momenta
    for found, expected in zip(statistics(model), plain_means(model), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    # Those of the last epoch; those of the first were of other weights.
    for found, kept, earlier in zip(statistics(model), keep.statistics[1], keep.statistics[0], strict=True):
        np.testing.assert_array_equal(found, kept)
        assert np.abs(found - earlier).max() > 0.0
    np.testing.assert_allclose(model.sample(4, seed=0, verbose=0), keep.samples[1], atol=1e-6)
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(again.sample(4, seed=0, verbose=0), keep.samples[1], atol=1e-6)
    before = statistics(model)
    model.prepare_sampling(x)
    for a, b in zip(statistics(model), before, strict=True):
        assert a == pytest.approx(b, abs=1e-6)
