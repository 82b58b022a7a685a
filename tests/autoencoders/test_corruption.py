import keras
import numpy as np
import pytest
from keras import ops

from kerasgen import Autoencoder
from kerasgen.autoencoders.corruption import check_corruption, corrupt
from kerasgen.errors import InputError

DENSE = {"encoder": "dense", "decoder": "dense", "width": 8}


def corrupted(spec, x):
    model = Autoencoder((8, 8, 3), 2, **DENSE)  # for its noise
    return ops.convert_to_numpy(corrupt(check_corruption(spec), ops.convert_to_tensor(x), model.normal, model.uniform))


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).uniform(0.2, 0.8, (400, 8, 8, 3)).astype(np.float32)


def test_gaussian_noise_has_its_spread(x):
    noise = corrupted({"class": "gaussian", "stddev": 0.3}, x) - x
    assert noise.std() == pytest.approx(0.3, rel=0.02)
    assert abs(noise.mean()) < 0.005
    stddevs = (corrupted({"class": "gaussian", "stddev": [0.1, 0.5]}, x) - x).std(axis=(1, 2, 3))
    assert stddevs.mean() == pytest.approx(0.3, abs=0.02)  # uniform over [0.1, 0.5]
    assert stddevs.std() == pytest.approx(0.4 / 12**0.5, abs=0.02)


def test_masked_pixels_are_black_in_all_channels(x):
    y = corrupted({"class": "masking", "rate": 0.25}, x)
    masked = (y == 0.0).all(axis=-1)
    assert masked.mean() == pytest.approx(0.25, abs=0.01)
    np.testing.assert_array_equal(y[~masked], x[~masked])


def test_salt_is_as_frequent_as_pepper(x):
    y = corrupted({"class": "salt_and_pepper", "rate": 0.4}, x)
    salt, pepper = ((y == value).all(axis=-1) for value in (1.0, 0.0))
    assert salt.mean() == pytest.approx(0.2, abs=0.01)
    assert pepper.mean() == pytest.approx(0.2, abs=0.01)
    np.testing.assert_array_equal(y[~(salt | pepper)], x[~(salt | pepper)])


@pytest.mark.parametrize(
    "spec",
    [
        "gaussian",
        0.1,
        {"class": "gaussian"},
        {"class": "blur", "stddev": 0.1},
        {"class": "gaussian", "rate": 0.1},
        {"class": "gaussian", "stddev": -0.1},
        {"class": "gaussian", "stddev": float("nan")},
        {"class": "gaussian", "stddev": [0.2, 0.1]},
        {"class": "gaussian", "stddev": [0.1, 0.2, 0.3]},
        {"class": "masking", "rate": 1.5},
        {"class": "masking", "rate": "often"},
    ],
)
def test_what_is_no_corruption(spec):
    with pytest.raises(InputError, match="corruption"):
        Autoencoder((8, 8, 1), 2, corruption=spec, **DENSE)


def test_learns_to_remove_salt_and_pepper(images, tmp_path):
    x, _ = images
    model = Autoencoder((8, 8, 1), 3, corruption={"class": "salt_and_pepper", "rate": [0.0, 0.2]}, width=16)
    model.compile(keras.optimizers.Adam(3e-3))
    model.fit(np.tile(x, (60, 1, 1, 1)), batch_size=16, verbose=0)
    clean = x / np.float32(255.0)
    u = np.random.default_rng(0).random(clean.shape)
    noisy = np.where(u < 0.1, np.round(u / 0.1), clean).astype(np.float32)
    assert np.square(model.denoise(noisy) - clean).mean() < 0.5 * np.square(noisy - clean).mean()
    model.save(tmp_path / "model")
    again = keras.saving.load_model(tmp_path / "model")
    assert again.corruption == model.corruption
    np.testing.assert_array_equal(again.denoise(noisy), model.denoise(noisy))


@pytest.mark.parametrize("spec", [{"class": "gaussian", "stddev": [0.1, 0.3]}, {"class": "masking", "rate": 0.5}])
def test_vectors(spec):
    x = np.random.default_rng(0).normal(1.0, 1.0, (400, 6)).astype(np.float32)
    model = Autoencoder((6,), 2, corruption=spec, width=8)
    model.compile()
    model.fit(x, verbose=0)
    y = ops.convert_to_numpy(corrupt(model.corruption, ops.convert_to_tensor(x), model.normal, model.uniform))
    if spec["class"] == "masking":
        assert (y == 0.0).mean() == pytest.approx(0.5, abs=0.04)
    else:
        assert (y - x).std() == pytest.approx(0.21, abs=0.02)
    with pytest.raises(InputError, match="of pixels"):
        Autoencoder((6,), 2, corruption={"class": "salt_and_pepper", "rate": 0.1})


@pytest.mark.parametrize(("stddev", "corruption"), [(0.2, {"class": "gaussian", "stddev": 0.2}), (0.0, None)])
def test_configs_of_before_corruptions(stddev, corruption):
    config = Autoencoder((8, 8, 1), 2, **DENSE).get_config()
    del config["corruption"]
    assert Autoencoder.from_config(config | {"noise_stddev": stddev}).corruption == corruption
