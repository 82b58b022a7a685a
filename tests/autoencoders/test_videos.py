"""Autoencoders and VAEs of videos: one network on every frame, and latents of the whole."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasgen import Autoencoder, VariationalAutoencoder
from kerasgen.errors import InputError
from kerasgen.recipes import Evaluation

SHAPE = (4, 8, 8, 1)


def shades(num):
    """All frames of a video have one shade of its own, from 0.1 to 0.9."""
    return np.broadcast_to(
        np.linspace(0.1, 0.9, num, dtype=np.float32)[:, None, None, None, None], (num, *SHAPE)
    ).copy()


def silu(x):
    return x / (1.0 + np.exp(-x))


def test_every_frame_has_the_same_network():
    model = Autoencoder(SHAPE, 3, {"class": "frames", "network": "conv", "features": 5}, "frames", width=4)
    x = np.random.default_rng(0).random((2, *SHAPE)).astype(np.float32)
    frames = ops.convert_to_numpy(model.encoder.network(2.0 * x.reshape(8, 8, 8, 1) - 1.0))
    kernel, bias = map(ops.convert_to_numpy, model.encoder.out.weights)
    expected = silu(frames.reshape(2, 20)) @ kernel + bias
    np.testing.assert_allclose(model.encode(x, verbose=0), expected, atol=1e-5)


def test_frames_of_a_sample_belong_together():
    """Of videos of one shade each, samples have frames of one shade, which differs between them."""
    model = VariationalAutoencoder(SHAPE, 2, width=8, decoder_distribution="gaussian")
    model.compile(keras.optimizers.Adam(3e-3))
    model.fit(shades(64), batch_size=16, epochs=40, verbose=0)
    found = model.sample(32, seed=0, verbose=0).mean(axis=(2, 3, 4))  # [32, frames]
    assert found.mean(axis=1).std() > 0.1
    assert found.std(axis=1).mean() < 0.3 * found.mean(axis=1).std()


def test_pictures_have_a_strip_above_its_reconstruction():
    model = VariationalAutoencoder(SHAPE, 2, width=4)
    settings = Evaluation(split="test", grid=4)
    samples, pairs, lines = model.exhibit(shades(6), None, settings)
    assert (samples.columns, pairs.columns, lines.columns) == (None, 1, 1)
    assert pairs.caption == "videos of test, and their reconstructions below"
    np.testing.assert_array_equal(pairs.examples[0::2], shades(6))
    np.testing.assert_allclose(pairs.examples[1::2], model.reconstruct(shades(6), verbose=0), atol=1e-6)
    assert model.modality.grid(pairs.examples, 1).shape[:2] == (12 * 58 + 2, 4 * 58 + 2)
    assert lines.examples.shape == (20, *SHAPE)


def test_streams_hold_videos():
    model = Autoencoder(SHAPE, 3, width=4, num_components=0)
    data = model.compress(shades(5), verbose=0)
    np.testing.assert_allclose(model.decompress(data, verbose=0), model.reconstruct(shades(5), verbose=0), atol=1e-2)


@pytest.mark.parametrize(
    ("shape", "settings", "message"),
    [
        (SHAPE, {"encoder": "conv"}, "encoder is 'conv'.*'frames' is for videos"),
        (SHAPE, {"decoder": "spatial"}, "decoder is 'spatial'.*'frames' is for videos"),
        ((8, 8, 1), {"encoder": "frames"}, "'frames' is for videos"),
        ((8,), {"decoder": "frames"}, "use 'dense' for vectors"),
        (SHAPE, {"encoder": {"class": "frames", "features": 0}}, "features is 0"),
        (SHAPE, {"decoder": {"class": "frames", "network": "frames"}}, "'frames' is for videos"),
    ],
)
def test_networks_that_do_not_fit(shape, settings, message):
    with pytest.raises(InputError, match=message):
        Autoencoder(shape, 3, **settings)
