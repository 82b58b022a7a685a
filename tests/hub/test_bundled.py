"""The bundled checkpoints: the same figures on every backend, and open to plain Keras."""

import importlib.util
import inspect
import json
import os
import runpy
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest

import kerasgen
from kerasgen.checkpoints import sha256
from kerasgen.checkpoints.config import without_compile_config
from kerasgen.hub.card import write_card
from kerasgen.hub.client import SHEETS
from kerasgen.hub.registry import entries, zoo_folder

BUNDLED = [entry for entry in entries().values() if entry.bundled]
NAMES = [entry.name for entry in BUNDLED]
# The least of each class, and of those that enlarge.
COMPUTED = (
    *("ae-fashion-mnist", "anomaly-shuttle", "dcgan-mnist", "ddpm-mnist", "denoiser-bsd"),
    *("flow-matching-fashion-mnist", "glow-mnist", "gpt-names", "latent-flow-celeba", "lenet-mnist"),
    *("realnvp-mnist", "sr3-fashion-mnist", "text-vae-names", "vae-mnist", "vqvae-fashion-mnist"),
)


def scores(x):
    """What vae-fashion-mnist makes of images: here, and in processes of other backends."""
    y = np.arange(len(x)) % 10
    model = kerasgen.load("vae-fashion-mnist")
    nats = model.log_prob(x, y, num_importance_samples=40, seed=1)
    return {
        "reconstruct": model.reconstruct(x, y),
        "sample": model.sample(8, seed=3),
        "log_prob": nats / model.num_dims,
    }


SCORE = f"""
import sys, numpy as np, kerasgen
{inspect.getsource(scores)}
np.savez(sys.argv[2], **scores(np.load(sys.argv[1])))
"""


def test_entries():
    assert NAMES == [
        "ae-celeba",
        "ae-fashion-mnist",
        "ae-moving-mnist",
        "ae-spoken-digits",
        "anomaly-shuttle",
        "bits-back-mnist",
        "dcgan-mnist",
        "ddpm-fashion-mnist",
        "ddpm-mnist",
        "denoiser-bsd",
        "denoising-ae-fashion-mnist",
        "flow-matching-fashion-mnist",
        "flow-matching-spoken-digits",
        "glow-celeba",
        "glow-fashion-mnist",
        "glow-mnist",
        "gpt-chorales",
        "gpt-names",
        "gpt-qm9",
        "gpt-shakespeare",
        "latent-flow-celeba",
        "lenet-mnist",
        "realnvp-mnist",
        "resnet-celeba-attributes",
        "resnet-cifar10-jpeg",
        "resnet-fashion-mnist",
        "resnet-spoken-attributes",
        "resnet-spoken-digits",
        "sagan-fashion-mnist",
        "sr3-fashion-mnist",
        "text-vae-names",
        "vae-fashion-mnist",
        "vae-mnist",
        "vqvae-fashion-mnist",
        "vqvae-spoken-digits",
        "wgan-gp-fashion-mnist",
    ]


@pytest.fixture(scope="module", params=NAMES)
def bundled(request):
    """An entry of the zoo and its model, which no test changes."""
    return entries()[request.param], kerasgen.load(request.param)


def test_entry(bundled, tmp_path):
    """The checksum in the recipe, the config, the figures in metrics.json and the card belong to these weights."""
    entry, model = bundled
    digest = sha256(entry.folder / "model.weights.h5")
    assert entry.recipe.weights.sha256 == entry.metrics["weights_sha256"] == digest
    assert model.count_params() == entry.metrics["parameters"]
    config = without_compile_config(keras.saving.serialize_keras_object(model))
    assert json.loads(json.dumps(config)) == json.loads((entry.folder / "config.json").read_text())
    for file in {"log.csv", *SHEETS} & set(os.listdir(entry.folder)):
        shutil.copyfile(entry.folder / file, tmp_path / file)
    write_card(entry.recipe, model, entry.metrics, tmp_path)
    assert (tmp_path / "README.md").read_text() == (entry.folder / "README.md").read_text()
    assert (entry.folder / "model.weights.h5").stat().st_size < 12e6


def test_plain_keras_opens_it(bundled):
    """It is of the same class, config and weights as the model that we load; and one of each kind computes the same."""
    entry, model = bundled
    opened = keras.saving.load_model(entry.folder)
    assert type(opened) is type(model)
    assert opened.get_config() == model.get_config()
    for one, other in zip(opened.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    if entry.name in COMPUTED:
        np.testing.assert_allclose(opened.probe(), model.probe(), atol=1e-6)


def test_every_kind_is_computed():
    kinds = {(entry.recipe.model.class_name, "super_resolution" in entry.recipe.model.config) for entry in BUNDLED}
    assert len(kinds) == len(COMPUTED)


def test_leaderboard_is_up_to_date():
    folder = zoo_folder()
    tool = runpy.run_path(str(folder.parent / "tools" / "leaderboard.py"))
    assert tool["leaderboard"]() == (folder / "LEADERBOARD.md").read_text()


def test_the_same_on_every_backend(tmp_path):
    """To 1e-4: images in [0, 1], log-probabilities in nats per dimension."""
    others = [name for name in ("tensorflow", "jax", "torch") if name != keras.backend.backend()]
    others = [name for name in others if importlib.util.find_spec(name)]
    if not others:
        pytest.skip("one backend is installed")
    x = np.clip(kerasgen.load("vae-fashion-mnist").sample(10, seed=9), 0, 1)
    np.save(tmp_path / "x.npy", x)
    expected = scores(x)
    for backend in others:
        command = [sys.executable, "-c", SCORE, str(tmp_path / "x.npy"), str(tmp_path / f"{backend}.npz")]
        done = subprocess.run(command, env={**os.environ, "KERAS_BACKEND": backend}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        with np.load(tmp_path / f"{backend}.npz") as found:
            for name in expected:
                np.testing.assert_allclose(found[name], expected[name], atol=1e-4, err_msg=name)


def test_fine_tuning():
    model = kerasgen.load("vae-fashion-mnist")
    x = np.random.default_rng(0).integers(0, 256, (16, 28, 28, 1), dtype=np.uint8)
    model.compile()
    losses = model.fit(x, np.arange(16) % 10, epochs=6, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert json.dumps(model.get_config())
