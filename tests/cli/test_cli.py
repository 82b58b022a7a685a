"""The `kerasgen` command on the bundled models: status, output, one line for a failure."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from kerasgen import VQVAE, Autoencoder, DiffusionModel, FlowMatching, ImageDenoiser, MaskedDiffusion, Pix2Pix
from kerasgen.cli import main as cli
from kerasgen.hub.registry import entries

MODEL = "vae-fashion-mnist"


def status(*args):
    """Exit status of the command, in this process."""
    try:
        return cli.execute(cli.parser().parse_args(list(map(str, args))))
    except SystemExit as error:
        return error.code


def test_list_and_show(capsys):
    assert status("list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["name", "family", "dataset", "shape", "classes", "parameters", "bundled"]
    assert [line.split()[0] for line in lines[1:]] == list(entries())
    row = next(line for line in lines if line.startswith(MODEL))
    assert re.fullmatch(rf"{MODEL} +VariationalAutoencoder +Fashion-MNIST +28x28x1 +10 +\d+ +yes", row)
    assert status("list", "--json", "--family", "Autoencoder") == 0
    models = json.loads(capsys.readouterr().out)
    assert {model["name"]: model["bundled"] for model in models} == {
        "ae-celeba": True,
        "ae-fashion-mnist": True,
        "ae-moving-mnist": True,
        "ae-spoken-digits": True,
        "denoising-ae-fashion-mnist": True,
    }
    assert status("show", MODEL) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["model"]["config"]["num_classes"] == 10
    assert shown["bundled"] is True


def test_sample(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert status("sample", MODEL, "--num_samples", 20, "--output", "grid.png") == 0
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.size == (10 * 58 + 2, 2 * 58 + 2)
        assert np.asarray(grid).std() > 50
    assert status("sample", MODEL, "--num_samples", 3, "--labels", "1,8", "--output", "a.npy") == 0
    images = np.load(tmp_path / "a.npy")
    assert images.shape == (3, 28, 28, 1)
    assert status("sample", MODEL, "--num_samples", 3, "--labels", "1,8", "--output", "folder") == 0
    pictures = []
    for path in sorted((tmp_path / "folder").iterdir()):
        with Image.open(path) as picture:
            pictures.append(np.asarray(picture))
    np.testing.assert_array_equal(pictures, np.rint(images[..., 0] * 255))


def test_texts(tmp_path, monkeypatch, capsys):
    """Samples go to a file of texts; completions are printed, a line each, and begin as they were told to."""
    monkeypatch.chdir(tmp_path)
    assert status("sample", "gpt-names", "--num_samples", 6, "--prompt", "ma", "--top_p", 0.9) == 0
    lines = (tmp_path / "samples.txt").read_text().splitlines()
    assert len(lines) == 6
    assert all(line.startswith("ma") for line in lines)
    assert "6 tokens written to samples.txt" in capsys.readouterr().out
    assert status("complete", "gpt-names", "ma", "--num_samples", 6, "--top_p", 0.9) == 0
    assert capsys.readouterr().out.splitlines() == lines
    assert status("complete", "gpt-names", "m4") == 1
    assert "'4', which is not in the vocabulary" in capsys.readouterr().err
    assert status("complete", MODEL, "ma") == 1
    assert "nothing to begin with" in capsys.readouterr().err
    assert status("sample", MODEL, "--prompt", "ma") == 1
    assert status("sample", MODEL, "--top_k", 3) == 1
    assert status("infill", "gpt-names", "m_a") == 1
    assert "does not infill" in capsys.readouterr().err


def test_infill(tmp_path, capsys):
    MaskedDiffusion((6,), ["", *"abc"], {"class": "Transformer", "width": 8, "depth": 1}).save(tmp_path / "model")
    assert status("infill", tmp_path / "model", "a?c", "--blank", "?", "--num_samples", 3, "--steps", 1) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("a") for line in lines)


def test_reconstruct(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), dtype=np.uint8))
    arguments = ("--input", tmp_path / "x.npy", "--output", tmp_path / "pairs.png")
    assert status("reconstruct", "ae-fashion-mnist", *arguments) == 0
    with Image.open(tmp_path / "pairs.png") as pairs:
        assert pairs.size == (3 * 58 + 2, 2 * 58 + 2)


def videos(path):
    """A checkpoint of a model of videos, and a file and a folder of some."""
    model = FlowMatching((4, 4, 4, 1), network={"class": "VideoDiT", "width": 8, "depth": 2, "heads": 2})
    model.save(path / "model")
    x = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 4, 1), dtype=np.uint8)
    np.save(path / "x.npy", x)
    model.modality.write(x, path / "clips")
    return model, x


def test_forecast(tmp_path, capsys):
    """Of an array, a file and a folder of files the same."""
    model, x = videos(tmp_path)
    expected = model.forecast(x[:, :2], steps=2, seed=0, verbose=0)
    arguments = ("forecast", tmp_path / "model", "--steps", 2, "--input")
    for given, num in (("x.npy", 3), ("clips", 3), ("clips/000000.gif", 1)):
        assert status(*arguments, tmp_path / given, "--output", tmp_path / "ahead.npy") == 0
        assert f"{num} videos, 2 frames of each given" in capsys.readouterr().out
        np.testing.assert_allclose(np.load(tmp_path / "ahead.npy"), expected[:num], atol=1e-6)
    assert status(*arguments, tmp_path / "clips", "--frames", 3, "--output", tmp_path / "ahead.mp4") == 0
    assert (tmp_path / "ahead.mp4").stat().st_size > 500
    capsys.readouterr()
    assert status(*arguments, tmp_path / "x.npy", "--frames", 4, "--output", tmp_path / "ahead.gif") == 1
    assert "expected 1 to 3 of the 4" in capsys.readouterr().err
    model.modality.write(x[:1], tmp_path / "clips" / "longer.gif")
    Image.new("L", (4, 4)).save(tmp_path / "clips" / "still.png")
    assert status(*arguments, tmp_path / "clips", "--output", tmp_path / "ahead.gif") == 1
    assert "5 videos of [1, 2] frames; expected some, of equally many" in capsys.readouterr().err
    assert status("forecast", MODEL, "--input", tmp_path / "clips") == 1
    assert "does not forecast" in capsys.readouterr().err


def test_reconstruct_and_compress_videos(tmp_path, capsys):
    _, x = videos(tmp_path)
    model = Autoencoder((4, 4, 4, 1), 2, width=4, num_components=0)
    model.save(tmp_path / "ae")
    assert status("compress", tmp_path / "ae", "--input", tmp_path / "clips", "--output", tmp_path / "x.kgen") == 0
    size = (tmp_path / "x.kgen").stat().st_size
    assert f"{8 * size / x.size:.4g} bits a pixel" in capsys.readouterr().out
    assert status("decompress", tmp_path / "ae", "--input", tmp_path / "x.kgen", "--output", tmp_path / "y.npy") == 0
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), model.reconstruct(x, verbose=0), atol=1e-2)
    for form in ("png", "gif"):
        output = tmp_path / f"pairs.{form}"
        assert status("reconstruct", tmp_path / "ae", "--input", tmp_path / "clips", "--output", output) == 0
        with Image.open(output) as pairs:
            assert pairs.size == ((4 * 58 + 2, 6 * 58 + 2) if form == "png" else (2 * 58 + 2, 3 * 58 + 2))


def write_photos(folder):
    """Two gray ones of different sizes, 0.png and 1.png."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for index, sides in enumerate([(20, 31), (9, 12)]):
        Image.fromarray(rng.integers(0, 256, sides, dtype=np.uint8)).save(folder / f"{index}.png")


def test_denoise_keeps_the_sizes_of_images(tmp_path, capsys):
    network = {"class": "UNet", "width": 4, "multipliers": [1], "blocks": 1}
    model = ImageDenoiser((8, 8, 1), network=network)
    model.save(tmp_path / "model")
    write_photos(tmp_path / "photos")
    arguments = ("denoise", tmp_path / "model", "--input", tmp_path / "photos")
    assert status(*arguments, "--noise_stddev", 0.1, "--output", tmp_path / "clean") == 0
    with Image.open(tmp_path / "photos" / "0.png") as noisy, Image.open(tmp_path / "clean" / "000000.png") as clean:
        expected = model.denoise(np.asarray(noisy)[None, ..., None], 0.1)[0, ..., 0]
        np.testing.assert_array_equal(np.asarray(clean), np.rint(255 * expected))
    assert status(*arguments, "--output", tmp_path / "clean.png") == 1
    assert "give --output a folder" in capsys.readouterr().err
    photo = (*arguments[:3], tmp_path / "photos" / "1.png")
    assert status(*photo, "--output", tmp_path / "clean.png") == 0
    with Image.open(tmp_path / "clean.png") as clean:
        assert clean.size == (12, 9)
    assert status(*photo, "--noise_stddev", 2) == 1
    assert "at most 0.2" in capsys.readouterr().err


def test_denoise_by_an_autoencoder(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), dtype=np.uint8))
    arguments = ("denoise", "ae-fashion-mnist", "--input", tmp_path / "x.npy")
    assert status(*arguments, "--output", tmp_path / "pairs.png") == 0
    with Image.open(tmp_path / "pairs.png") as pairs:
        assert pairs.size == (3 * 58 + 2, 2 * 58 + 2)
    assert status(*arguments, "--noise_stddev", 0.1) == 1  # an autoencoder is not told


def test_compress_and_decompress(tmp_path, capsys):
    """Photographs of different sizes, one file each; arrays in one; and what comes out of the wrong model or file."""
    spatial = {"class": "spatial", "levels": 1}
    model = VQVAE((8, 8, 1), (4, 4), {"class": "finite_scalar", "levels": [4, 4]}, spatial, spatial, width=4)
    model.save(tmp_path / "model")
    write_photos(tmp_path / "photos")
    arguments = ("compress", tmp_path / "model", "--input", tmp_path / "photos")
    assert status(*arguments, "--output", tmp_path / "all.kgen") == 1
    assert "several sizes" in capsys.readouterr().err
    assert status(*arguments, "--output", tmp_path / "packed") == 0
    size = sum(path.stat().st_size for path in (tmp_path / "packed").iterdir())
    bits = 8 * size / (20 * 31 + 9 * 12)
    bar, told = capsys.readouterr().out.rsplit("\n", 2)[:2]
    assert "2/2" in bar and bar.rstrip().endswith(" images/s")  # a bar that became shorter ends in spaces
    assert told == f"{size} bytes written to {tmp_path / 'packed'}, {bits:.4g} bits a pixel"
    assert status("decompress", tmp_path / "model", "--input", tmp_path / "packed", "--output", tmp_path / "out") == 0
    with Image.open(tmp_path / "photos" / "0.png") as photo, Image.open(tmp_path / "out/000000/000000.png") as found:
        x = np.asarray(photo)[None, ..., None]
        expected = model.decompress(model.compress(x))[0, ..., 0]
        np.testing.assert_array_equal(np.asarray(found), np.rint(255 * expected))
    np.save(tmp_path / "x.npy", np.repeat(x, 3, axis=0))
    assert status(*arguments[:3], tmp_path / "x.npy", "--output", tmp_path / "x.kgen") == 0
    one = ("--input", tmp_path / "x.kgen", "--output", tmp_path / "y.npy")
    assert status("decompress", tmp_path / "model", *one) == 0
    assert np.load(tmp_path / "y.npy").shape == (3, 20, 31, 1)
    (tmp_path / "x.kgen").write_bytes((tmp_path / "x.kgen").read_bytes()[:-1])
    capsys.readouterr()
    for handle, message in [(tmp_path / "model", "cut short"), ("ae-fashion-mnist", "cut short")]:
        assert status("decompress", handle, *one) == 1
        assert message in capsys.readouterr().err
    assert status(*arguments, "--output", tmp_path / "packed", "--bits", 4) == 1
    assert "VQVAE does not take --bits" in capsys.readouterr().err


def test_compress_by_an_autoencoder(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), dtype=np.uint8))
    packed = ("--output", tmp_path / "x.kgen")
    assert status("compress", "ae-fashion-mnist", "--input", tmp_path / "x.npy", "--bits", 6, *packed) == 0
    found = ("--input", tmp_path / "x.kgen", "--output", tmp_path / "y.png")
    assert status("decompress", "ae-fashion-mnist", *found) == 0
    assert (tmp_path / "y.png").exists()


def test_translate(tmp_path, capsys):
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
    assert capsys.readouterr().err == "kerasgen: Pix2Pix does not take --direction to translate.\n"
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
        (("sample", "lenet-mnist", "--output", "x.png"), "does not sample; what it offers: classify"),
        (("translate", MODEL, "--input", "./no.npy"), "does not translate"),
        (("upscale", MODEL, "--input", "./no.npy"), "does not upscale"),
        (("sample", "vae-fashion-mnst"), "did you mean vae-fashion-mnist"),
        (("sample", "./nowhere"), "nowhere"),
        (("sample", MODEL, "--output", "x.gif"), "x.gif ends in .gif; expected .png or .npy or a folder"),
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
    "args", [(), ("draw",), ("sample",), ("translate", MODEL), ("sample", MODEL, "--num_samples", "0")]
)
def test_bad_usage(args, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert status(*args) == 2
    assert "usage" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_status_of_the_process(tmp_path):
    """Of success, of a failure and of bad usage."""
    commands = (("sample", MODEL, "--output", "x.png"), ("show", "vae-fashion-mnst"), ("draw",))
    settings = {"cwd": tmp_path, "env": os.environ, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen([sys.executable, "-m", "kerasgen", *args], **settings) for args in commands]
    outputs = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 1, 2], outputs
    assert "100 images written to x.png" in outputs[0][0]
    assert (tmp_path / "x.png").is_file()
    assert "\nkerasgen: " in f"\n{outputs[1][1]}"
    assert "Traceback" not in outputs[1][1]
    assert "usage" in outputs[2][1]
