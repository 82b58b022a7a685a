"""Videos: what is drawn, and how it goes on from what is given."""

import keras
import numpy as np
import pytest

from kerasgen import Autoencoder, DiffusionModel, FlowMatching, LatentDiffusion
from kerasgen.errors import InputError
from kerasgen.metrics import ssim
from kerasgen.metrics.evaluation import Evaluation, evaluate
from kerasgen.metrics.figures import pixels
from kerasgen.metrics.motion import over_frames
from kerasgen.recipes import Evaluation as Settings

SHAPE = (4, 4, 4, 1)
DIT = {"class": "VideoDiT", "width": 16, "depth": 2, "heads": 2, "patch": 2}
UNET = {"class": "VideoUNet", "width": 8, "multipliers": [1], "blocks": 1, "patch": 2}
FEW = {"steps": 4, "seed": 0, "verbose": 0}


def flashing(num):
    """Videos of two kinds: the left half is bright in all frames, or the right half is."""
    x = np.full((num, *SHAPE), 0.1, np.float32)
    x[0::2, :, :, :2] = x[1::2, :, :, 2:] = 0.9
    return x


@pytest.mark.parametrize(("network", "num_given"), [(DIT, 0), (DIT, 1), (UNET, 1)], ids=["kept", "read", "UNet"])
def test_forecasts_go_on_from_the_first_frame(network, num_given):
    """The kind is told by the first frame alone; with `num_given` the network reads it, else it is kept as by noise."""
    model = FlowMatching(SHAPE, network=network, num_given=num_given)
    model.compile(keras.optimizers.Adam(1e-2))
    x = flashing(32)
    model.fit(x, batch_size=16, epochs=60, verbose=0)
    found = model.forecast(x[:8, :1], **FEW | {"steps": 20})
    np.testing.assert_array_equal(found[:, :1], x[:8, :1])
    assert np.abs(found - x[:8])[:, 1:].mean() < (0.2 if num_given else 0.3)  # of half the wrong kind 0.4
    again = model.forecast((x[:3, :1] * 255).round().astype(np.uint8), **FEW | {"steps": 20})
    np.testing.assert_allclose(again, found[:3], atol=2e-2)


def latent_model(**arguments):
    spatial = {"class": "spatial", "levels": 1}
    autoencoder = Autoencoder((4, 4, 1), 8, spatial, spatial, width=8, num_components=0)
    network = {"class": "grid", "sides": [4, 2, 2], "network": DIT | {"patch": 1}}
    return LatentDiffusion(autoencoder, {"class": "FlowMatching", "network": network}, frames=4, **arguments)


def test_latents_of_videos_are_those_of_their_frames():
    """z of each frame is normalized alike, by the means and deviations of all frames; decoding goes frame by frame."""
    model, x = latent_model(), np.random.default_rng(0).random((12, *SHAPE)).astype(np.float32)
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(x, batch_size=6, epochs=5, verbose=0)
    z = model.run(model.latents, 12, lambda start, stop: (x[start:stop], None), 5, 0)
    of_frames = model.autoencoder.encode(x.reshape(48, 4, 4, 1), verbose=0)
    expected = (of_frames - of_frames.mean(axis=0)) / of_frames.std(axis=0)
    np.testing.assert_allclose(z, expected.reshape(12, 32), atol=1e-4)
    samples = model.sample(3, **FEW)
    assert samples.shape == (3, *SHAPE)
    found = model.forecast(x[:3, :2], **FEW)
    np.testing.assert_array_equal(found[:, :2], x[:3, :2])


def test_a_latent_model_with_given_frames_learns_from_them():
    model, x = latent_model(num_given=1), flashing(32)
    model.autoencoder.trainable = True
    model.autoencoder.compile("adam")
    model.autoencoder.fit(x.reshape(-1, 4, 4, 1), epochs=30, verbose=0)
    model.autoencoder.trainable = False
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(x, batch_size=16, epochs=60, verbose=0)
    assert model.denoiser.num_given == 8
    assert np.abs(model.forecast(x[:8, :1], **FEW) - x[:8])[:, 1:].mean() < 0.2


def test_likelihood_and_edits_of_videos():
    model = DiffusionModel(SHAPE, network=DIT, num_steps=20)
    x = flashing(6)
    assert model.log_prob(x, num_evaluations=3, verbose=0).shape == (6,)
    assert model.reconstruct(x, verbose=0).shape == x.shape
    mask = np.zeros((4, 4, 4), bool)
    mask[2:, :, :2] = True
    drawn = model.inpaint(x, mask, **FEW)
    np.testing.assert_array_equal(drawn[:, ~mask], x[:, ~mask])
    assert model.edit(x, 0.5, **FEW).shape == x.shape
    assert "forecast" in model.offers


def test_figures_of_videos_are_of_their_frames():
    """Beside the same figures of the frames as images; copies are told by whole videos."""
    model = FlowMatching((3, 12, 12, 1), network=DIT)
    x = np.random.default_rng(0).integers(0, 256, (12, 3, 12, 12, 1), dtype=np.uint8)
    settings = Settings(split="test", num_samples=12, sampling={"steps": 2})
    run = Evaluation(model, x, None, "test", settings=settings, training=lambda: x, verbose=0)
    found = evaluate(run)["metrics"]
    assert {"ms_ssim", "memorisation/pixels"} <= set(found)
    assert found["ms_ssim"]["n"] == 6
    again = model.reconstruct(x, verbose=0)
    of_frames = ssim(*(a.reshape(36, 12, 12, 1) for a in (x / np.float32(255.0), again)))
    of_videos = over_frames(ssim, x / np.float32(255.0), again)
    np.testing.assert_allclose(of_videos, of_frames.reshape(12, 3).mean(axis=1), atol=1e-6)
    np.testing.assert_allclose(pixels(x), x.reshape(12, -1) / 255.0, atol=1e-6)


def test_figures_of_forecasts():
    """Those of the drawn second halves; what stands still has no error, and neither has its last frame repeated."""
    model = FlowMatching((4, 12, 12, 1), network=DIT)
    x = np.random.default_rng(0).integers(0, 256, (6, 4, 12, 12, 1), dtype=np.uint8)
    settings = Settings(split="test", num_samples=5, sampling={"steps": 2})
    found = evaluate(Evaluation(model, x, None, "test", settings=settings, verbose=0), ["forecast"])["metrics"]
    real = x[:5] / np.float32(255.0)
    drawn = model.forecast(x[:5, :2], steps=2, seed=0, verbose=0)
    expected = np.square(real - drawn)[:, 2:].sum(axis=(2, 3, 4))
    assert (found["forecast_error"]["n"], found["forecast_error"]["frames_given"]) == (5, 2)
    assert found["forecast_error"]["value"] == pytest.approx(expected.mean(), rel=1e-5)
    still = np.square(real[:, 2:] - real[:, 1:2]).sum(axis=(2, 3, 4)).mean()
    assert found["forecast_error"]["still"] == pytest.approx(still, rel=1e-5)
    of_frames = ssim(*(a[:, 2:].reshape(10, 12, 12, 1) for a in (real, drawn)))
    assert found["forecast_ssim"]["value"] == pytest.approx(of_frames.mean(), abs=1e-6)
    assert "forecast" not in FlowMatching((12, 12, 1), network=UNET | {"class": "UNet"}).measures()


def test_errors():
    model = FlowMatching(SHAPE, network=DIT)
    for given, message in (
        (np.zeros((2, 4, 4, 4, 1)), "4 frames are given; expected 1 to 3 of the 4"),
        (np.zeros((2, 1, 4, 5, 1)), "takes .batch, 1, 4, 4, 1."),
        (np.zeros((1, 4, 4, 1)), "videos have 4 axes"),
        (np.full((2, 1, 4, 4, 1), np.nan), "NaN"),
    ):
        with pytest.raises(InputError, match=message):
            model.forecast(given, **FEW)
    of_images = FlowMatching((4, 4, 1), network={"class": "UNet", "width": 4, "multipliers": [1], "blocks": 1})
    assert "forecast" not in of_images.offers
    with pytest.raises(InputError, match="does not forecast"):
        of_images.forecast(np.zeros((2, 1, 4, 4, 1)))
    for make, message in (
        (lambda: FlowMatching(SHAPE, network=DIT, num_given=4), "num_given is 4"),
        (lambda: FlowMatching((4, 4, 1), num_given=1), "num_given is 1"),
        (lambda: FlowMatching(SHAPE, network=DIT, super_resolution=2), "super_resolution is 2"),
        (lambda: model.sample(1, image_size=(8, 8)), "image_size is for models of images"),
        (lambda: latent_model(num_given=4), "num_given is 4"),
        (lambda: LatentDiffusion(Autoencoder((4,), 2, width=4), frames=2), "videos are of images"),
    ):
        with pytest.raises(InputError, match=message):
            make()
