"""tools/train_arrays.py: a data set packed here, a recipe trained where TensorFlow is not, and measured here again."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import kerasgen
from kerasgen.recipes import Recipe
from tests.model_case import write_pictures

pytest.importorskip("tensorflow")  # which packs

TOOL = Path(__file__).parents[2] / "tools" / "train_arrays.py"
WITHOUT = """
import os, runpy, sys
sys.modules["tensorflow"] = None
sys.path.insert(0, os.path.dirname(sys.argv[1]))  # as of a script
runpy.run_path(sys.argv[1], run_name="__main__")
"""
RECIPE = """
name = "tiny"
description = "Squares on one of two sides."
[dataset]
source = "{source}"
train_split = "train"
validation_split = "test"
test_split = "test"
image_size = 8
channels = 1
{extra}
flip = true
[model]
class = "{family}"
[model.config]
shape = [8, 8, 1]
{config}
[training]
epochs = 6
batch_size = 8
optimizer = "adam"
learning_rate = 3e-3
ema_momentum = 0.9
[evaluation]
num_samples = 6
grid = 4
num_importance_samples = 4
"""
VAE = {
    "family": "VariationalAutoencoder",
    "config": "latent_dim = 2\nwidth = 4\nnum_classes = 2",
    "extra": "labels = true",
}
PATCH = 'discriminator = {class = "patch", width = 4, levels = 1}'
CYCLE = {"family": "CycleGAN", "config": 'generator = {class = "UNet", width = 4}\n' + PATCH}
CYCLE |= {"extra": "labels = true\ndomain = 1"}


def run(*arguments):
    """The tool, on backends that need no TensorFlow without it."""
    command = (
        [sys.executable, TOOL] if keras.backend.backend() == "tensorflow" else [sys.executable, "-c", WITHOUT, TOOL]
    )
    done = subprocess.run([*map(str, command), *arguments], capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("of", [VAE, CYCLE], ids=["labels", "domains"])
def test_a_recipe_goes_there_and_comes_back(of, tmp_path):
    write_pictures(tmp_path / "data")
    path, packed, out = tmp_path / "recipe.toml", tmp_path / "packed", tmp_path / "out"
    path.write_text(RECIPE.format(source=tmp_path / "data", **of))
    run(f"--recipe={path}", f"--pack={packed}", "--part_bytes=500")
    assert len(list(packed.glob("train-*.npz"))) > 1
    (tmp_path / "data" / "train").rename(tmp_path / "elsewhere")  # the images are in the packs
    said = run(f"--recipe={path}", f"--packed={packed}", f"--output={out}", "--minutes=0.02")
    assert "24 examples unpacked" in said or "12 examples unpacked" in said
    (tmp_path / "elsewhere").rename(tmp_path / "data" / "train")
    facts = json.loads((out / "facts.json").read_text())
    assert len((out / "log.csv").read_text().splitlines()) == 1 + facts["epochs"]
    assert f"training.epochs = {facts['epochs']};" in run(
        f"--recipe={path}", f"--taken={out}", f"--workdir={tmp_path}/run"
    )
    folder = tmp_path / "run" / "checkpoint"
    assert Recipe.load(folder / "recipe.toml").training.epochs == facts["epochs"]
    model = kerasgen.load(folder)
    with np.load(out / "weights.npz") as arrays:
        for index, weight in enumerate(model.get_weights()):
            np.testing.assert_allclose(weight, arrays[f"arr_{index}"], rtol=1e-3, atol=1e-6)  # float16
    report = json.loads((folder / "metrics.json").read_text())
    assert report["training"]["hours"] == facts["hours"]
