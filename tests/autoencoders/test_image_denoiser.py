import keras
import numpy as np
import pytest
from keras import ops

from kerasgen import ImageDenoiser, metrics, noise, recipes
from kerasgen.autoencoders import image_denoiser
from kerasgen.autoencoders.image_denoiser import noise_level
from kerasgen.errors import InputError

UNET = {"class": "UNet", "width": 8, "multipliers": [1, 2], "blocks": 1}


def small(**arguments):
    return ImageDenoiser(**{"shape": (8, 8, 1), "network": UNET} | arguments)


@keras.saving.register_keras_serializable("tests")
class Blur(keras.layers.Layer):
    """The noise that a mean over 3 x 3 takes away, whatever its level; it reads one pixel beyond its own."""

    def __init__(self, **kwargs):
        super().__init__(**{"name": "network", **kwargs})
        self.conv = keras.layers.Conv2D(1, 3, padding="same", kernel_initializer="ones", data_format="channels_last")
        self.conv.build((None, None, None, 1))

    def call(self, inputs):
        return inputs[0] - self.conv(inputs[0]) / 9.0


def photograph(num, height, width):
    """Smooth images."""
    rows, columns = np.mgrid[:height, :width] / 40.0
    waves = [np.sin(3.0 * rows + i) * np.cos(2.0 * columns * (i + 1)) for i in range(num)]
    return (0.5 + 0.3 * np.stack(waves))[..., None].astype(np.float32)


def test_loss_is_the_mean_squared_error_of_what_is_left():
    """A network that sees no noise leaves it all, of variance E[s^2] = (a^2 + a b + b^2) / 3 for s in [a, b]."""
    model = small(noise_stddev=(0.1, 0.4))
    for variable in model.network.weights:
        variable.assign(np.zeros(variable.shape))
    model.compile()
    x = np.full((2000, 8, 8, 1), 0.5, np.float32)
    found = model.evaluate(x, batch_size=500, verbose=0, return_dict=True)["loss"]
    assert found == pytest.approx((0.01 + 0.04 + 0.16) / 3.0, rel=0.03)


def test_noise_level_is_that_of_the_noise():
    for level in (0.02, 0.1, 0.3):
        noisy = photograph(2, 96, 97) + level * noise.normal(0, 2, (96, 97, 1), 0)
        np.testing.assert_allclose(noise_level(noisy), level, rtol=0.1)
        found = ops.convert_to_numpy(noise_level(ops.convert_to_tensor(noisy), ops))
        np.testing.assert_allclose(found, noise_level(noisy), rtol=1e-5)


def test_learns_to_denoise_images_of_other_sizes():
    clean = photograph(4, 64, 64)
    patches = clean.reshape(4, 8, 8, 8, 8, 1).swapaxes(2, 3).reshape(-1, 8, 8, 1)
    model = small(noise_stddev=(0.0, 0.3))
    model.compile(keras.optimizers.Adam(3e-3))
    model.fit(patches, batch_size=32, epochs=60, verbose=0)
    image = photograph(1, 45, 70)
    noisy = image + 0.2 * noise.normal(0, 1, image.shape[1:], 1)
    before = np.square(np.clip(noisy, 0.0, 1.0) - image).mean()
    for told in (0.2, [0.2], None):
        found = model.denoise(noisy, told)
        assert found.shape == image.shape
        assert np.square(found - image).mean() < 0.5 * before
    assert np.abs(model.denoise(noisy, 0.05) - model.denoise(noisy, 0.25)).mean() > 1e-3  # the level is read
    whole = keras.ops.convert_to_numpy(model(np.clip(noisy[:, :8, :8], 0.0, 1.0)))
    assert whole.shape == (1, 8, 8, 1)


def test_tiles_make_no_seams(monkeypatch):
    """A network that reaches no further than the margin gives the same in tiles of any size."""
    model = small(network=Blur())
    image = photograph(2, 50, 75)
    whole = model.denoise(image, 0.1)
    monkeypatch.setattr(image_denoiser, "TILE", 48)
    monkeypatch.setattr(image_denoiser, "MARGIN", 2)
    np.testing.assert_allclose(model.denoise(image, 0.1), whole, atol=1e-6)
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = sum(padded[:, i : i + 50, j : j + 75] for i in range(3) for j in range(3)) / 9.0
    np.testing.assert_allclose(whole, expected, atol=1e-5)


def test_bytes_and_floats_alike():
    model = small()
    x = np.random.default_rng(0).integers(0, 256, (3, 20, 9, 1), dtype=np.uint8)
    np.testing.assert_allclose(model.denoise(x), model.denoise(x / np.float32(255.0)), atol=1e-5)
    np.testing.assert_allclose(model.denoise(x, 0.1)[1:2], model.denoise(x[1:2], 0.1), atol=1e-5)


@pytest.mark.parametrize("sides", [(64, 64), (2, 70), (65, 4), (600, 40)])
def test_all_sides(sides):
    """Those of a tile, less than its margins, and more than one tile."""
    x = photograph(1, *sides)
    found = small(network=Blur()).denoise(x, 0.1)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = sum(padded[:, i : i + sides[0], j : j + sides[1]] for i in range(3) for j in range(3)) / 9.0
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_saving(tmp_path):
    model = small(noise_stddev=(0.05, 0.1))
    x = photograph(1, 30, 30)
    model.save(tmp_path / "model")
    again = keras.saving.load_model(tmp_path / "model")
    np.testing.assert_array_equal(again.denoise(x), model.denoise(x))
    assert again.get_config() == model.get_config()


def test_figures_are_of_noise_within_the_models_range():
    """A model that does nothing has the PSNR of the noise, -20 log10(s), but for what clipping takes."""
    model = small(noise_stddev=(0.0, 30 / 255))
    for variable in model.network.weights:
        variable.assign(np.zeros(variable.shape))
    x = np.full((4, 8, 8, 1), 128, np.uint8)
    whole = [np.full((40, 50, 1), 128, np.uint8), np.full((30, 30, 1), 100, np.uint8)]
    run = metrics.Evaluation(model, x, None, "test", settings=recipes.Evaluation(num_samples=4), whole=lambda: whole)
    found = metrics.evaluate(run)["metrics"]
    assert set(found) == {"denoising_psnr/15", "denoising_psnr/25"}
    assert found["denoising_psnr/15"]["value"] == pytest.approx(-20.0 * np.log10(15 / 255), abs=0.2)
    assert found["denoising_psnr/15"]["n"] == 2


def test_what_cannot_be_denoised():
    model = small(noise_stddev=(0.0, 0.2))
    x = photograph(2, 20, 20)
    for bad, message in [
        (x[0], "shape"),
        (np.repeat(x, 3, axis=-1), "shape"),
        (x[:0], "shape"),
        (x[:, :1], "at least 2"),
        (x * np.nan, "NaN"),
        (255.0 * x, r"range over .*; expected float in \[-1.6, 2.6\]"),
        (x.astype(np.int64), "dtype"),
    ]:
        with pytest.raises(InputError, match=message):
            model.denoise(bad)
    for level in (-0.1, 0.3, [0.1] * 3, "much", float("nan")):
        with pytest.raises(InputError, match=r"noise_stddev is .*; expected a number .* at most 0.2"):
            model.denoise(x, level)
    with pytest.raises(InputError, match=r"at least 0\.1"):
        small(noise_stddev=(0.1, 0.2)).denoise(x, 0.0)
    for arguments, message in [
        ({"noise_stddev": 0.1}, "least, greatest"),
        ({"noise_stddev": (0.2, 0.1)}, "least, greatest"),
        ({"noise_stddev": (0.0, 25.0)}, r"within \[0, 1\]"),
        ({"shape": (6, 8, 1)}, "multiples of 4"),
        ({"network": "DnCNN"}, "expected one of"),
        ({"network": keras.layers.Dense(2)}, "network"),
    ]:
        with pytest.raises(InputError, match=message):
            small(**arguments)
