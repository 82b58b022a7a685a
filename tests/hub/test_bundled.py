"""The bundled checkpoints: the same figures on every backend, and open to plain Keras."""

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
from kerasgen.checkpoints.checkpoint import sha256
from kerasgen.hub import entries
from kerasgen.hub.card import write_card
from kerasgen.hub.registry import zoo_folder

NAMES = [name for name, entry in entries().items() if entry.bundled]

SCORE = """
import sys, json, numpy as np, kerasgen
x = np.load(sys.argv[1])
y = np.arange(len(x)) % 10
model = kerasgen.load("vae-fashion-mnist")
np.savez(sys.argv[2], reconstruct=model.reconstruct(x, y), sample=model.sample(8, seed=3),
         log_prob=model.log_prob(x, y, num_importance_samples=40, seed=1) / model.num_dims)
"""


def test_entries():
    assert NAMES == [
        "ae-fashion-mnist",
        "dcgan-mnist",
        "ddpm-fashion-mnist",
        "ddpm-mnist",
        "flow-matching-fashion-mnist",
        "glow-celeba",
        "glow-fashion-mnist",
        "glow-mnist",
        "lenet-mnist",
        "realnvp-mnist",
        "resnet-celeba-attributes",
        "resnet-cifar10-jpeg",
        "resnet-fashion-mnist",
        "sagan-fashion-mnist",
        "sr3-fashion-mnist",
        "vae-fashion-mnist",
        "vae-mnist",
        "wgan-gp-fashion-mnist",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_entry(name, tmp_path):
    """The recipe's checksum, the figures in metrics.json and the card belong to these weights."""
    entry = entries()[name]
    digest = sha256(entry.folder / "model.weights.h5")
    assert entry.recipe.weights.sha256 == entry.metrics["weights_sha256"] == digest
    model = kerasgen.load(name)
    assert model.count_params() == entry.metrics["parameters"]
    for file in ("log.csv", "config.json"):
        shutil.copyfile(entry.folder / file, tmp_path / file)
    write_card(entry.recipe, entry.metrics, tmp_path)
    assert (tmp_path / "README.md").read_text() == (entry.folder / "README.md").read_text()
    assert (entry.folder / "model.weights.h5").stat().st_size < 12e6


@pytest.mark.parametrize("name", NAMES)
def test_plain_keras_opens_it(name):
    models = keras.saving.load_model(entries()[name].folder), kerasgen.load(name)
    if isinstance(models[0], kerasgen.Classifier):
        x = np.random.default_rng(0).integers(0, 256, (4, *models[0].image_shape), dtype=np.uint8)
        results = [model.classify(x) for model in models]
    elif models[0].super_resolution is not None:
        x = np.random.default_rng(0).integers(0, 256, (4, *models[0].small_shape), dtype=np.uint8)
        results = [model.upscale(x, seed=0) for model in models]
    else:
        results = [model.sample(4, seed=0) for model in models]
    np.testing.assert_allclose(*results, atol=1e-6)


def test_leaderboard_is_up_to_date():
    folder = zoo_folder()
    tool = runpy.run_path(str(folder.parent / "tools" / "leaderboard.py"))
    assert tool["leaderboard"]() == (folder / "LEADERBOARD.md").read_text()


def test_the_same_on_every_backend(tmp_path):
    """To 1e-4: images in [0, 1], log-probabilities in nats per dimension."""
    x = np.clip(kerasgen.load("vae-fashion-mnist").sample(10, seed=9), 0, 1)
    np.save(tmp_path / "x.npy", x)
    results = []
    for backend in ("tensorflow", "jax", "torch"):
        try:
            __import__(backend)
        except ImportError:
            continue
        path = tmp_path / f"{backend}.npz"
        command = [sys.executable, "-c", SCORE, str(tmp_path / "x.npy"), str(path)]
        done = subprocess.run(command, env={**os.environ, "KERAS_BACKEND": backend}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        results.append(np.load(path))
    if len(results) < 2:
        pytest.skip("one backend is installed")
    for other in results[1:]:
        for name in results[0]:
            np.testing.assert_allclose(other[name], results[0][name], atol=1e-4, err_msg=name)


def test_fine_tuning():
    model = kerasgen.load("vae-fashion-mnist")
    x = np.random.default_rng(0).integers(0, 256, (16, 28, 28, 1), dtype=np.uint8)
    model.compile()
    losses = model.fit(x, np.arange(16) % 10, epochs=6, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert json.dumps(model.get_config())
