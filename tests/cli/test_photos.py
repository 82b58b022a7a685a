"""The command as README shows it, on a plain folder of photographs: mixed sizes, JPEG and PNG, one on its side."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kerasgen import Pix2Pix, RealNVP, load, publish
from kerasgen.cli import main as cli
from kerasgen.hub.registry import checkpoint_folder, zoo_folder
from kerasgen.recipes import Recipe

SMALL = (
    *("model.config.width=4", "model.config.latent_dim=2", "training.epochs=1", "training.batch_size=4"),
    *("evaluation.num_samples=12", "evaluation.grid=4", "evaluation.num_importance_samples=2"),
)


def status(*args):
    """Exit status of the command, in this process."""
    return cli.execute(cli.parser().parse_args(list(map(str, args))))


def write_photos(root, num=20):
    """Photographs: no two of one size, noise on gray. The first is stored on its side, left half black."""
    rng = np.random.default_rng(0)
    root.mkdir(parents=True)
    for index in range(num):
        height, width = 20 + index, 50 - index
        image = Image.fromarray(rng.integers(90, 160, (height, width, 3), dtype=np.uint8))
        image.save(root / f"IMG_{index:03d}.{('jpg', 'JPEG', 'png')[index % 3]}")
    lying = np.full((48, 48, 3), 255, np.uint8)
    lying[:24] = 0  # its upper half, which is the right one once it is turned clockwise
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(lying).save(root / "IMG_000.jpg", exif=exif, quality=95)
    return root


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos") / "plain")


@pytest.fixture(scope="module")
def run(photos):
    """The folder of a run of `kerasgen train NAME --workdir DIR --dataset FOLDER`."""
    folder, overrides = photos.parent / "run", [part for entry in SMALL for part in ("--override", entry)]
    assert status("train", "vae-fashion-mnist", "--workdir", folder, "--dataset", photos, *overrides) == 0
    return folder


def test_train(run):
    """On nine tenths, without classes where there are none; what was said of other data is not said of these."""
    recipe = Recipe.load(run / "checkpoint" / "recipe.toml")
    splits = recipe.dataset.train_split, recipe.dataset.validation_split, recipe.evaluation.split
    assert splits == ("train[:90%]", "train[90%:]", "train[90%:]")
    assert (recipe.dataset.title, recipe.weights.license, recipe.dataset.labels) == (None, None, False)
    report = json.loads((run / "checkpoint" / "metrics.json").read_text())
    assert report["training"]["steps"] == 4  # batches of 4 in 18
    assert report["metrics"]["mean_squared_error"]["n"] == 2
    assert load(run / "checkpoint").num_classes is None


def test_evaluate_and_report(run, photos, tmp_path, capsys):
    model = run / "checkpoint"
    output = tmp_path / "metrics.json"
    assert status("evaluate", model, "--dataset", photos, "--output", output, "--metrics", "mean_squared_error") == 0
    assert json.loads(output.read_text())["metrics"]["mean_squared_error"]["split"] == "train[90%:]"
    told = "plain: train[:90%] to train on, train[90%:] to validate on, train[90%:] to measure on\n"
    assert told in capsys.readouterr().err
    everything = ("--split", "all", "--metrics", "mean_squared_error", "--output", tmp_path / "all.json")
    assert status("evaluate", model, "--dataset", photos, *everything) == 0
    assert json.loads((tmp_path / "all.json").read_text())["metrics"]["mean_squared_error"]["n"] == 20
    capsys.readouterr()
    assert status("compare", output, output) == 0
    assert "mean_squared_error" in capsys.readouterr().out
    assert status("report", model, "--dataset", photos, "--output", tmp_path / "report.html") == 0
    assert (tmp_path / "report.html").read_text().count("<img") >= 2


def test_sample_show_inspect(run, tmp_path, capsys):
    assert status("sample", run / "checkpoint", "--output", tmp_path / "x.png", "--num_samples", 4) == 0
    for command in ("show", "inspect"):
        assert status(command, run / "checkpoint") == 0
    assert "VariationalAutoencoder" in capsys.readouterr().out


def test_inputs(run, photos, tmp_path, monkeypatch, capsys):
    """A folder, a photograph, a split of a folder, an array: each brought to the model's size, and upright."""
    model = run / "checkpoint"
    monkeypatch.chdir(tmp_path)
    shutil.copytree(photos, tmp_path / "set" / "Train" / "things")
    shutil.copytree(photos, tmp_path / "set" / "Val" / "things")
    np.save("x.npy", np.zeros((3, 28, 28, 1), np.uint8))
    for given, num in (
        (("--input", photos), 20),
        (("--input", photos, "--num_images", 5), 5),
        (("--input", photos / "IMG_001.JPEG"), 1),
        (("--input", "set", "--split", "training[:50%]"), 10),
        (("--input", "set"), 20),
        (("--input", "x.npy"), 3),
    ):
        assert status("reconstruct", model, *given, "--output", "y.png") == 0
        assert f"{num} images written to y.png" in capsys.readouterr().out
    assert status("reconstruct", model, "--input", photos / "IMG_000.jpg", "--output", "y.png") == 0
    with Image.open("y.png") as grid:
        shown = np.asarray(grid)[2:58, 2:58]  # above its reconstruction
    assert shown[:, :20].min() > 235
    assert shown[:, -20:].max() < 20


def test_a_grid_shows_photographs_of_any_size(photos, tmp_path):
    """By a model of the zoo, which has one channel."""
    assert status("reconstruct", "ae-fashion-mnist", "--input", photos, "--output", tmp_path / "x.png") == 0
    with Image.open(tmp_path / "x.png") as grid:
        assert grid.size == (10 * 58 + 2, 4 * 58 + 2)


def test_upscale_and_translate(photos, tmp_path):
    small = ("--num_images", 2, "--steps", 1, "--output", tmp_path / "x.png")
    assert status("upscale", "sr3-fashion-mnist", "--input", photos, *small) == 0
    Pix2Pix((8, 8, 3), generator={"class": "UNet", "width": 4}).save(tmp_path / "model")
    assert status("translate", tmp_path / "model", "--input", photos, "--output", tmp_path / "y.png") == 0


def test_classes_come_from_folders_or_labels(photos, tmp_path, capsys):
    model = ("reconstruct", "vae-fashion-mnist", "--num_images", 4, "--output", tmp_path / "x.npy", "--input")
    assert status(*model, photos) == 1
    told = f"kerasgen: vae-fashion-mnist needs classes, and {photos} has none; give them with --labels.\n"
    assert capsys.readouterr().err == told
    assert status(*model, photos, "--labels", 3) == 0
    for index in range(10):
        (tmp_path / "set" / f"{index}").mkdir(parents=True)
    shutil.copytree(photos, tmp_path / "set" / "8", dirs_exist_ok=True)
    assert status(*model, tmp_path / "set") == 0
    (tmp_path / "set" / "0").rmdir()
    assert status(*model, tmp_path / "set") == 1
    assert "set has 9 classes, such as 1, and vae-fashion-mnist has 10; give" in capsys.readouterr().err


def test_classes_that_are_not_the_models(photos, tmp_path, capsys):
    for name in "abc":
        shutil.copytree(photos, tmp_path / "set" / name)
    assert status("evaluate", "lenet-mnist", "--dataset", tmp_path / "set", "--output", tmp_path / "x.json") == 1
    assert "set has 3 classes and the model 10; expected the same." in capsys.readouterr().err


def test_models_of_vectors_read_arrays(photos, tmp_path, capsys):
    RealNVP(shape=(3,), steps=1, width=4).save(tmp_path / "model")
    arguments = ("reconstruct", tmp_path / "model", "--output", tmp_path / "y.npy", "--input")
    assert status(*arguments, photos) == 1
    assert "reads examples of shape (3,), no images; give --input a .npy file" in capsys.readouterr().err
    np.save(tmp_path / "X.NPY", np.zeros((2, 3), np.float32))
    (tmp_path / "X.NPY.npy").rename(tmp_path / "X.NPY")
    assert status(*arguments, tmp_path / "X.NPY") == 0


# Arrays that are none


def damaged(path):
    """Arrays that are not what they seem, by name, and what is said of each."""
    good = np.zeros((3, 28, 28, 1), np.uint8)
    np.save(path / "truncated.npy", good)
    whole = (path / "truncated.npy").read_bytes()
    (path / "truncated.npy").write_bytes(whole[:-100])
    (path / "header.npy").write_bytes(whole[:40])
    (path / "garbled.npy").write_bytes(whole[:20] + b"\xff" * 40 + whole[60:])
    (path / "huge.npy").write_bytes(whole.replace(b"(3, 28, 28, 1)", b"(9999999, 28, 28, 1)"))
    (path / "empty.npy").write_bytes(b"")
    (path / "text.npy").write_text("1 2 3")
    np.save(path / "object.npy", np.array([{"a": 1}], object), allow_pickle=True)
    np.save(path / "number.npy", np.uint8(3))
    np.save(path / "none.npy", good[:0])
    np.save(path / "words.npy", np.array(["a", "b"]))
    np.save(path / "wide.npy", good.astype(np.int64))
    np.save(path / "large.npy", np.zeros((3, 29, 29, 1), np.uint8))
    np.save(path / "nan.npy", np.full(good.shape, np.nan, np.float32))
    np.save(path / "bright.npy", np.full(good.shape, 255.0, np.float32))
    np.savez(path / "named.npz", x=good)
    shutil.copy(path / "named.npz", path / "renamed.npy")
    (path / "broken.npz").write_bytes((path / "named.npz").read_bytes()[:200])
    (path / "empty.jpg").write_bytes(b"")
    not_whole, shape = "no whole .npy file", "expected [batch, height, width, channels]"
    return {
        **dict.fromkeys(("truncated.npy", "header.npy", "garbled.npy", "empty.npy", "text.npy"), not_whole),
        **dict.fromkeys(("object.npy", "broken.npz", "huge.npy", "named.npz", "renamed.npy"), not_whole),
        **dict.fromkeys(("number.npy", "words.npy"), shape),
        **{"none.npy": "there are no images", "wide.npy": "dtype int64", "large.npy": "this model takes"},
        **{"nan.npy": "NaN", "bright.npy": "range over [255, 255]", "missing.npz": "does not exist"},
        **{"empty.jpg": "cannot be decoded", "missing.jpg": "there is no folder ./missing.jpg"},
    }


def test_arrays_that_are_none(run, tmp_path, monkeypatch, capsys):
    """One line and status 1 for each; what is pickled is not run."""
    monkeypatch.chdir(tmp_path)
    for name, message in damaged(tmp_path).items():
        assert status("reconstruct", run / "checkpoint", "--input", f"./{name}", "--output", "y.png") == 1, name
        told = capsys.readouterr().err
        assert re.fullmatch("kerasgen: [^\n]*\n", told), told
        assert message in told
    assert not (tmp_path / "y.png").exists()


# What strangers name


@pytest.mark.parametrize("command", ["evaluate", "report"])
def test_the_data_of_a_strangers_recipe_is_not_read(command, run, photos, tmp_path, capsys, monkeypatch, hub_server):
    """Neither that of a folder nor that of a repository, which names a folder with private photographs."""
    monkeypatch.chdir(tmp_path)
    hub_server.clear()
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    publish(run / "checkpoint", "stranger/model")
    ask = f"names the data set '{photos}', which is not read unasked; give that one or another with --dataset."
    for handle in (str(run / "checkpoint"), "stranger/model"):
        capsys.readouterr()
        assert status(command, handle) == 1
        assert ask in capsys.readouterr().err
    assert status("train", run / "checkpoint", "--workdir", "again") == 1
    assert not list(tmp_path.glob("*.*"))
    assert not (tmp_path / "again").exists()


def test_a_folder_with_the_name_of_an_entry(run, tmp_path, monkeypatch):
    """The folder is taken, as ever, and a warning says so."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run / "checkpoint", tmp_path / "glow-celeba")
    with pytest.warns(UserWarning, match=r"'glow-celeba' is taken for the folder .*'\./glow-celeba' says so; .*rename"):
        assert checkpoint_folder("glow-celeba") == Path("glow-celeba")
    with pytest.warns(UserWarning, match="taken for the folder"):
        assert status("show", "glow-celeba") == 0
    assert checkpoint_folder("./glow-celeba") == Path("glow-celeba")
    assert checkpoint_folder("vae-mnist").parent == zoo_folder()
