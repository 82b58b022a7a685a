import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import kerasgen
from kerasgen.checkpoints import WEIGHTS, save_checkpoint, sha256
from kerasgen.errors import CheckpointError, RecipeError, UnknownModelError
from kerasgen.hub import registry
from tools.pinning import set_weights

ROOT = Path(__file__).parents[2]
RECIPE = """
name = "NAME"
description = "A test."
[dataset]
source = "mnist"
title = "MNIST"
train_split = "train"
test_split = "test"
[model]
class = "VariationalAutoencoder"
config = {shape = [8, 8, 1], latent_dim = 2, width = 4}
[training]
epochs = 1
batch_size = 8
optimizer = "adam"
learning_rate = 1e-3
"""


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    """A zoo of `vae-mnist`, with weights, and `vae-untrained`, in the working directory's `zoo`."""
    for name in ("vae-mnist", "vae-untrained"):
        (tmp_path / "zoo" / name).mkdir(parents=True)
        (tmp_path / "zoo" / name / "recipe.toml").write_text(RECIPE.replace("NAME", name))
    trained = tmp_path / "zoo" / "vae-mnist"
    save_checkpoint(kerasgen.VariationalAutoencoder((8, 8, 1), latent_dim=2, width=4), trained)
    (trained / "metrics.json").write_text(json.dumps({"parameters": 123, "bits_per_dim": 0.5}))
    monkeypatch.setattr(registry, "zoo_folder", lambda: tmp_path / "zoo")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "zoo"


@pytest.mark.parametrize("handle", ["vae-mnist", "zoo/vae-mnist", "./zoo/vae-mnist", Path("zoo/vae-mnist")])
def test_load(zoo, handle):
    assert registry.load(handle).shape == (8, 8, 1)
    assert registry.load(str(zoo / "vae-mnist")).shape == (8, 8, 1)


def test_the_sha256_of_a_recipe_is_checked(zoo):
    recipe = zoo / "vae-mnist" / "recipe.toml"
    set_weights(recipe, sha256=sha256(zoo / "vae-mnist" / WEIGHTS))
    registry.load("vae-mnist")
    set_weights(recipe, sha256="0" * 64)
    with pytest.raises(CheckpointError, match="SHA-256"):
        registry.load("vae-mnist")


@pytest.mark.parametrize(
    ("handle", "message"),
    [
        ("vae-mnits", "did you mean vae-mnist.*kerasgen list"),
        ("", "kerasgen list"),
        ("zzz", "no model 'zzz'; 'kerasgen list'"),
        ("vae-untrained", "kerasgen train vae-untrained --workdir DIR"),
    ],
)
def test_handles_that_name_no_model(zoo, handle, message):
    with pytest.raises(UnknownModelError, match=message) as error:
        registry.load(handle)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("handle", ["./nothing", "/nothing", "~/nothing", Path("nothing")])
def test_folders_that_are_not_there(zoo, handle):
    with pytest.raises(CheckpointError, match="no checkpoint folder"):
        registry.load(handle)


def test_list_models(zoo):
    trained, untrained = registry.list_models()
    assert trained == {
        "name": "vae-mnist",
        "family": "VariationalAutoencoder",
        "description": "A test.",
        "dataset": "MNIST",
        "shape": [8, 8, 1],
        "num_classes": None,
        "parameters": 123,
        "bundled": True,
        "metrics": {"parameters": 123, "bits_per_dim": 0.5},
    }
    assert not untrained["bundled"]
    assert untrained["parameters"] is None
    assert registry.list_models(family="Autoencoder") == []
    assert len(registry.list_models(family="VariationalAutoencoder")) == 2


def test_a_recipe_is_named_as_its_folder(zoo):
    (zoo / "vae-untrained").rename(zoo / "other")
    with pytest.raises(RecipeError, match="'vae-untrained'; expected 'other'"):
        registry.list_models()
    registry.load("vae-mnist")


@pytest.mark.parametrize("layout", ["checkout", "wheel"])
def test_both_layouts_are_found_without_keras(tmp_path, layout):
    """The zoo beside the package, or inside it; listing it imports no framework."""
    package = tmp_path / "kerasgen"
    ignore = shutil.ignore_patterns("__pycache__", "entries")
    for part in ("hub", "checkpoints", "recipes", "errors.py", "files.py", "version.py"):
        source, target = ROOT / "kerasgen" / part, package / part
        target.parent.mkdir(exist_ok=True)
        shutil.copytree(source, target, ignore=ignore) if source.is_dir() else shutil.copy(source, target)
    (package / "__init__.py").write_text("")
    folder = (tmp_path if layout == "checkout" else package) / ("zoo" if layout == "checkout" else "hub/entries")
    (folder / "vae-test").mkdir(parents=True)
    (folder / "vae-test" / "recipe.toml").write_text(RECIPE.replace("NAME", "vae-test"))
    code = (
        "import sys; from kerasgen.hub.registry import list_models; print([model['name'] for model in list_models()],"
        " [name for name in ('keras', 'tensorflow', 'h5py', 'huggingface_hub', 'numpy') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout == "['vae-test'] []\n"
