"""Statistics of batch normalization that `fit` leaves: those of its own weights, as plain means over batches."""

import keras
import numpy as np
from keras import ops

from kerasgen import GAN, noise
from kerasgen.gans.gan import STANDING_BATCH, STANDING_BATCHES


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


def plain_means(model, monkeypatch):
    """Means over the standing batches of each batch's mean and variance, by normalization."""
    seen = [[] for _ in norms(model)]

    def recording(moments, found):
        def record(*args, **kwargs):
            result = moments(*args, **kwargs)
            found.append([ops.convert_to_numpy(ops.stop_gradient(value)) for value in result])
            return result

        return record

    for norm, found in zip(norms(model), seen, strict=True):
        monkeypatch.setattr(norm, "_moments", recording(norm._moments, found))
    for index in range(STANDING_BATCHES):
        start = index * STANDING_BATCH
        z = noise.normal(start, start + STANDING_BATCH, (model.latent_dim,), model.seed, stream=5)
        one_hot = model.one_hot(model.sample_labels(None, STANDING_BATCH))
        model.generate(ops.convert_to_tensor(z), one_hot, training=True)
    monkeypatch.undo()
    return [mean for found in seen for mean in np.array(found, np.float64).mean(axis=0)]  # mean, variance; [C]


def test_fit_leaves_plain_means_of_its_weights(images, tmp_path, monkeypatch):
    x, y = images
    generator, discriminator = {"class": "conv", "width": 4}, {"class": "dense", "width": 8}
    model = GAN((8, 8, 1), 4, generator, discriminator, num_classes=4)
    model.compile(keras.optimizers.Adam(1e-2, use_ema=True, ema_momentum=0.9))
    momenta = [norm.momentum for norm in norms(model)]
    keep = Keep()
    callbacks = [keep, keras.callbacks.ModelCheckpoint(tmp_path / "m.keras")]
    model.fit(x, y, batch_size=16, epochs=2, verbose=0, callbacks=callbacks)
    assert [norm.momentum for norm in norms(model)] == momenta
    left = statistics(model)
    for found, kept, earlier in zip(left, keep.statistics[1], keep.statistics[0], strict=True):
        np.testing.assert_array_equal(found, kept)
        assert np.abs(found - earlier).max() > 0.0  # of the weights then
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    for one in (model, loaded):
        np.testing.assert_allclose(one.sample(4, seed=0, verbose=0), keep.samples[1], atol=1e-6)
    for found, expected in zip(left, plain_means(model, monkeypatch), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    model.prepare_sampling(x)
    for again, before in zip(statistics(model), left, strict=True):
        np.testing.assert_allclose(again, before, atol=1e-6)
