"""What is published with weights: nothing of other weights, nothing from outside, no picture that is none."""

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

import kerasgen
from kerasgen.checkpoints import save_checkpoint
from kerasgen.errors import CheckpointError
from kerasgen.hub.publication import write_package
from kerasgen.hub.registry import zoo_folder


@pytest.fixture
def folder(tmp_path):
    """A copy of an entry of the zoo."""
    return Path(shutil.copytree(zoo_folder() / "vae-mnist", tmp_path / "vae-mnist"))


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_what_was_measured_goes_with_its_weights(folder, out):
    write_package(folder, out, "me/model")
    assert (out / "metrics.json").read_bytes() == (folder / "metrics.json").read_bytes()
    assert (out / "log.csv").is_file() == (folder / "log.csv").is_file()
    assert "## Measured" in (out / "README.md").read_text()


def test_figures_of_other_weights_stay_behind(folder, out):
    model = kerasgen.load(folder)
    variable = model.decoder.trainable_variables[-1]
    variable.assign(variable + 0.5)
    save_checkpoint(model, folder)
    told = r"metrics\.json.*samples\.png.*recipe\.toml.*other weights"
    with pytest.warns(UserWarning, match=told), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)  # of Keras
        write_package(folder, out, "me/model")
    assert not {"metrics.json", "log.csv", "recipe.toml"} & {path.name for path in out.iterdir()}
    assert (out / "samples.png").read_bytes() != (folder / "samples.png").read_bytes()
    card = (out / "README.md").read_text()
    value = next(iter(json.loads((folder / "metrics.json").read_text())["metrics"].values()))["value"]
    assert "## Measured" not in card
    assert f"{value:.4g}" not in card
    assert "model-index" not in card


@pytest.mark.parametrize("name", ["samples.png", "log.csv", "metrics.json", "model.weights.h5", "recipe.toml"])
def test_links_out_of_the_folder_are_refused(folder, out, name, tmp_path):
    (folder / name).rename(tmp_path / "private") if (folder / name).exists() else (tmp_path / "private").touch()
    (folder / name).symlink_to(tmp_path / "private")
    with pytest.raises(CheckpointError, match=r"link.*outside of the folder"):
        write_package(folder, out, "me/model")
    assert not list(out.iterdir())


def test_a_folder_reached_by_a_link_is_sent(folder, out, tmp_path):
    (tmp_path / "latest").symlink_to(folder)
    write_package(tmp_path / "latest", out, "me/model")
    assert (out / "metrics.json").is_file()


def test_a_picture_is_its_pixels(folder, out):
    secret = PngImagePlugin.PngInfo()
    secret.add_text("location", "secret")
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "samples.png", pnginfo=secret)
    with open(folder / "samples.png", "ab") as file:
        file.write(b"secret")
    write_package(folder, out, "me/model")
    assert b"secret" not in (out / "samples.png").read_bytes()
    with Image.open(out / "samples.png") as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)


@pytest.mark.parametrize("data", [b"", b"secret", b"\x89PNG\r\n\x1a\n" + b"x" * 50, b"GIF89a" + b"x" * 50])
def test_a_picture_that_is_none_is_refused(folder, out, data):
    (folder / "samples.png").write_bytes(data)
    with pytest.raises(CheckpointError, match="not a PNG picture"):
        write_package(folder, out, "me/model")
