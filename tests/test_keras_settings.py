"""Settings of the user's keras.json, or of their code, change nothing that kerasgen's own layers compute."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import kerasgen
from tests import keras_settings

WIDEST = "float32" if keras.backend.backend() == "jax" else "float64"  # JAX has none of 64 bits unless told


@pytest.fixture(scope="module")
def expected():
    keras.utils.set_random_seed(0)
    return keras_settings.results(keras_settings.MODELS) | keras_settings.bundled()


@pytest.fixture
def restored():
    policy, floatx = keras.config.dtype_policy(), keras.config.floatx()
    yield
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)
    keras.config.set_image_data_format("channels_last")


def assert_equal(found, expected):
    for name, array in found.items():
        assert array.dtype == expected[name].dtype, name
        np.testing.assert_allclose(array, expected[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_keras_json(expected, tmp_path):
    settings = {"floatx": "float16", "image_data_format": "channels_first", "backend": keras.backend.backend()}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    command = [sys.executable, keras_settings.__file__, str(tmp_path / "found.npz")]
    environment = os.environ | {"KERAS_HOME": str(tmp_path)}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "float16 channels_first" in run.stdout
    found = dict(np.load(tmp_path / "found.npz"))
    assert set(found) == set(expected)
    assert_equal(found, expected)


def test_settings_in_code(expected, restored):
    keras.config.set_floatx(WIDEST)
    keras.config.set_dtype_policy(WIDEST)
    keras.config.set_image_data_format("channels_first")
    assert_equal(keras_settings.results(["vae", "gan", "flow matching"]), expected)


@pytest.mark.parametrize("name", sorted({"float16", "bfloat16", WIDEST} - {"float32"}))
def test_variables_are_float32_unless_told(name, restored, tmp_path):
    """A checkpoint does not depend on the settings that it was made under."""
    keras.config.set_dtype_policy(name)
    model = keras_settings.vae()
    assert model.dtype_policy.name == "float32"
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    assert model.get_config()["dtype"]["config"]["name"] == "float32"
    assert {v.dtype for v in keras_settings.vae(dtype=name).encoder.trainable_variables} == {name}


def test_mixed_policies_are_taken(restored, tmp_path):
    """Set globally, as in Keras; and a model keeps its own when it is loaded under another."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = keras_settings.vae()
    assert model.dtype_policy.name == "mixed_bfloat16"
    assert model.encoder.get_layer("outputs").compute_dtype == "bfloat16"
    model.save(tmp_path / "model")
    keras.config.set_dtype_policy("float32")
    assert kerasgen.load(tmp_path / "model").dtype_policy.name == "mixed_bfloat16"
