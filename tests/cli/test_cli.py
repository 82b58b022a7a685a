"""The `kerasgen` command on the bundled models: status, output, one line for a failure."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from kerasgen import DiffusionModel, Pix2Pix, cli

MODEL = "vae-fashion-mnist"


def kerasgen(*args, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "kerasgen", *map(str, args)], cwd=cwd, env=os.environ, capture_output=True, text=True
    )


def status(*args):
    """Exit status of the command, in this process."""
    try:
        return cli.execute(cli.parser().parse_args(list(map(str, args))))
    except SystemExit as error:
        return error.code


def test_list_and_show():
    table = kerasgen("list")
    assert table.returncode == 0, table.stderr
    assert MODEL in table.stdout
    models = json.loads(kerasgen("list", "--json", "--family", "Autoencoder").stdout)
    assert {model["name"]: model["bundled"] for model in models} == {"ae-celeba": False, "ae-fashion-mnist": True}
    shown = json.loads(kerasgen("show", MODEL).stdout)
    assert shown["model"]["config"]["num_classes"] == 10
    assert shown["bundled"] is True


def test_sample(tmp_path):
    result = kerasgen("sample", MODEL, "--num_samples", 20, "--output", "grid.png", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.size == (10 * 58 + 2, 2 * 58 + 2)
        assert np.asarray(grid).std() > 50
    result = kerasgen("sample", MODEL, "--num_samples", 3, "--labels", "1,8", "--output", "a.npy", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    images = np.load(tmp_path / "a.npy")
    assert images.shape == (3, 28, 28, 1)
    result = kerasgen("sample", MODEL, "--num_samples", 3, "--labels", "1,8", "--output", "folder", cwd=tmp_path)
    pictures = [np.asarray(Image.open(path)) for path in sorted((tmp_path / "folder").iterdir())]
    np.testing.assert_array_equal(pictures, np.rint(images[..., 0] * 255))


def test_reconstruct(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), dtype=np.uint8))
    result = kerasgen("reconstruct", "ae-fashion-mnist", "--input", "x.npy", "--output", "pairs.png", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "pairs.png") as pairs:
        assert pairs.size == (3 * 58 + 2, 2 * 58 + 2)


def test_translate(tmp_path):
    """Gray images above the coloured ones that they become."""
    network = {"class": "UNet", "width": 4}
    Pix2Pix((8, 8, 3), source_channels=1, generator=network).save(tmp_path / "model")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), dtype=np.uint8))
    arguments = ("--input", tmp_path / "x.npy", "--output", tmp_path / "pairs.png")
    assert status("translate", tmp_path / "model", *arguments) == 0
    with Image.open(tmp_path / "pairs.png") as pairs:
        assert pairs.size == (3 * 58 + 2, 2 * 58 + 2)
        assert pairs.mode == "RGB"
    assert status("translate", tmp_path / "model", *arguments, "--direction", "b_to_a") == 1
    assert status("sample", tmp_path / "model", "--output", tmp_path / "y.png") == 1


def test_upscale(tmp_path):
    """Small images, their pixels repeated, above what is drawn for them."""
    network = {"class": "DiT", "width": 8, "depth": 1, "heads": 1}
    DiffusionModel((8, 8, 1), network=network, super_resolution=2).save(tmp_path / "model")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (3, 4, 4, 1), dtype=np.uint8))
    arguments = ("upscale", tmp_path / "model", "--input", tmp_path / "x.npy", "--steps", 2, "--output")
    assert status(*arguments, tmp_path / "pairs.png") == status(*arguments, tmp_path / "y.npy") == 0
    with Image.open(tmp_path / "pairs.png") as pairs:
        assert pairs.size == (3 * 58 + 2, 2 * 58 + 2)
    assert np.load(tmp_path / "y.npy").shape == (3, 8, 8, 1)
    assert status("sample", tmp_path / "model", "--output", tmp_path / "z.png") == 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("sample", "lenet-mnist", "--output", "x.png"), "draws no images"),
        (("translate", MODEL, "--input", "./no.npy"), "does not translate"),
        (("upscale", MODEL, "--input", "./no.npy"), "does not enlarge"),
        (("sample", "vae-fashion-mnst"), "did you mean vae-fashion-mnist"),
        (("sample", "./nowhere"), "nowhere"),
        (("sample", MODEL, "--labels", "10", "--output", "x.png"), "10 classes"),
        (("sample", "vae-mnist", "--labels", "1", "--output", "x.png"), "not class-conditional"),
        (("sample", MODEL, "--steps", "20", "--output", "x.png"), "no sampler, so no steps to set"),
        (("reconstruct", MODEL, "--input", "./no.npy"), "does not exist"),
        (("train", "nothing.toml", "--workdir", "run"), "cannot be read"),
        (("train", MODEL, "--workdir", "run", "--override", "training.epoch=3"), "epoch"),
        (("train", MODEL, "--workdir", "run", "--dataset", "./nowhere"), "nowhere"),
    ],
)
def test_failures(args, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert status(*args) == 1
    line = capsys.readouterr().err
    assert re.fullmatch("kerasgen: [^\n]*\n", line)
    assert message in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "args",
    [(), ("draw",), ("sample",), ("sample", MODEL, "--output", "x.gif"), ("sample", MODEL, "--num_samples", "0")],
)
def test_bad_usage(args, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert status(*args) == 2
    assert "usage" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_status_of_the_process():
    result = kerasgen("show", "vae-fashion-mnst")
    assert result.returncode == 1
    assert "\nkerasgen: " in f"\n{result.stderr}"
    assert "Traceback" not in result.stderr
    assert kerasgen("draw").returncode == 2
