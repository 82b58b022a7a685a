"""Training runs: from a recipe to a checkpoint, killed and resumed."""

import base64
import csv
import html
import importlib.util
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from PIL import Image

import kerasgen
from kerasgen.errors import RecipeError, UnknownModelError
from kerasgen.hub.figure_names import title
from kerasgen.hub.publication import write_package
from kerasgen.modalities import Images, Tokens, Vectors
from kerasgen.recipes import Recipe
from kerasgen.training import hardware
from kerasgen.training.report import write_report
from kerasgen.training.run import build, load_split, train
from tests.model_case import write_pictures

RECIPE = """
name = "tiny"
description = "Squares in four places."
[dataset]
source = "{source}"
train_split = "train"
validation_split = "test"
test_split = "test"
image_size = 8
channels = 1
labels = true
flip = true
[model]
class = "VariationalAutoencoder"
[model.config]
shape = [8, 8, 1]
latent_dim = 2
width = 4
num_classes = 2
[training]
epochs = 6
batch_size = 8
optimizer = "adamw"
learning_rate = 3e-3
schedule = "cosine"
warmup_steps = 4
weight_decay = 0.01
clip_norm = 10.0
ema_momentum = 0.9
[evaluation]
num_samples = 6
grid = 4
num_importance_samples = 4
"""


@pytest.fixture
def recipe_path(tmp_path):
    """A recipe over a folder of 24 + 8 pictures in two classes."""
    write_pictures(tmp_path / "data")
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.format(source=tmp_path / "data"))
    return path


def test_a_run_makes_a_whole_entry(recipe_path, tmp_path):
    recipe = Recipe.load(recipe_path).override(["training.precision=mixed_bfloat16"])
    folder = train(recipe, tmp_path / "run", verbose=0)
    assert {p.name for p in folder.iterdir()} >= {
        "config.json",
        "metadata.json",
        "model.weights.h5",
        "recipe.toml",
        "metrics.json",
        "log.csv",
        "samples.png",
        "README.md",
    }
    with open(tmp_path / "run" / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == [str(e) for e in range(1, 7)]
    assert float(rows[-1]["val_reconstruction_loss"]) < float(rows[0]["val_reconstruction_loss"])
    assert len(list((tmp_path / "run" / "samples").iterdir())) == 6
    model = kerasgen.load(folder)
    assert model.dtype_policy.name == "float32"
    report = json.loads((folder / "metrics.json").read_text())
    assert report["parameters"] == model.count_params()
    assert report["metrics"]["bits_per_dim"]["kind"] == "bound"
    assert report["metrics"]["mean_squared_error"]["n"] == 8
    written = Recipe.load(folder / "recipe.toml")
    assert written.digest == recipe.digest
    assert written.weights.sha256 == report["weights_sha256"]
    card = (folder / "README.md").read_text()
    for part in (
        "library_name: keras",
        "# tiny",
        "samples.png",
        f"{report['parameters']:,} parameters",
        "kerasgen train",
    ):
        assert part in card
    # What was measured is what was saved.
    from kerasgen import data

    images, labels = data.load_arrays(recipe.dataset.source, "test", 8, channels=1)
    error = np.square(model.reconstruct(images, labels) - images / 255.0).mean()
    assert error == pytest.approx(report["metrics"]["mean_squared_error"]["value"], rel=1e-5)
    # One page shows all of it, and needs nothing besides.
    points = {"DDIM": [{"seconds": 1.0, "value": 9.0}, {"seconds": 2.0, "value": 7.0}]}
    page = folder.parent / "report.html"
    metrics = json.dumps(report | {"samplers": {"metric": "Fréchet distance", "points": points}})
    (folder / "metrics.json").write_text(metrics)
    write_report(recipe, model, folder, page)
    text = page.read_text()
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', text)
    widths = [Image.open(io.BytesIO(base64.b64decode(p))).width for p in pictures]
    assert widths == [58 * columns + 2 for columns in (2, 8, 10, 4)]
    assert text.count("<svg") == 2
    assert not re.findall(r"(?:src|href)=\"(?!data:)", text)
    for name in report["metrics"]:
        assert html.escape(title(name)) in text
    # Run again, it finds nothing left to train, and gives the same weights.
    weights = model.get_weights()
    again = kerasgen.load(train(recipe, tmp_path / "run", verbose=0))
    for a, b in zip(weights, again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(RecipeError, match="another recipe"):
        train(recipe.override(["training.learning_rate=1e-4"]), tmp_path / "run", verbose=0)


def run_until(recipe_path, workdir, epoch=None):
    """`kerasgen train` in a process of its own, killed by SIGKILL in the middle of the epoch after `epoch`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "kerasgen", "train", str(recipe_path), "--workdir", str(workdir)],
        env=os.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    if epoch is None:
        _, stderr = process.communicate()
        assert process.returncode == 0, stderr.decode()
        return
    log = workdir / "log.csv"
    while not (log.exists() and len(log.read_text().splitlines()) > epoch):
        assert process.poll() is None, process.stderr.read().decode()
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (workdir / "checkpoint").exists()


def newest_backup(workdir):
    """The arrays in the newest backup of a run."""
    with np.load(max((workdir / "backups").glob("step-*.npz"))) as file:
        return dict(file)


OTHERS = {
    "Glow": "levels = 1\nsteps = 1",
    "GAN": 'generator = {class = "dense", width = 8}\ndiscriminator = {class = "conv", width = 4}\npenalty = "r1"',
    "CycleGAN": 'generator = {class = "UNet", width = 4}\ndiscriminator = {class = "patch", width = 4, levels = 1}',
    "Pix2Pix": "source_channels = 1\n"
    'generator = {class = "UNet", width = 4}\ndiscriminator = {class = "patch", width = 4, levels = 1}',
    "DiffusionModel": 'num_steps = 20\nnetwork = {class = "DiT", width = 8, depth = 1, heads = 1}',
}


def of_family(recipe_path, family):
    """The text of the recipe for another family."""
    text = recipe_path.read_text().replace("VariationalAutoencoder", family).replace("latent_dim = 2\n", "")
    if family in ("CycleGAN", "Pix2Pix"):
        kind = "domain = 1" if family == "CycleGAN" else 'pairs = "masked"'
        text = text.replace("num_classes = 2\n", "").replace("flip = true", f"flip = true\n{kind}")
        text = text.replace("batch_size = 8", "batch_size = 4")
    return text.replace("width = 4", OTHERS[family])


def test_a_run_of_translations(recipe_path, tmp_path):
    recipe_path.write_text(of_family(recipe_path, "CycleGAN"))
    recipe = Recipe.load(recipe_path).override(["training.epochs=2"])
    folder = train(recipe, tmp_path / "run", verbose=0)
    assert len(list((tmp_path / "run" / "samples").iterdir())) == 2
    with Image.open(folder / "samples.png") as grid:
        assert grid.size == (58 * 4 + 2, 58 * 4 + 2)  # 4 images of each kind, over their translations
    report = json.loads((folder / "metrics.json").read_text())
    assert set(report["metrics"]) == {"cycle_error"}
    card = (folder / "README.md").read_text()
    for part in ("pipeline_tag: image-to-image", "model.translate(images)", "translation into the other kind"):
        assert part in card
    assert kerasgen.load(folder).translate(np.zeros((1, 8, 8, 1), np.uint8), "b_to_a").shape == (1, 8, 8, 1)


def test_a_run_of_super_resolution(recipe_path, tmp_path):
    """Grids show small images, enlarged ones and real ones; figures are of what is drawn for the test images."""
    recipe_path.write_text(of_family(recipe_path, "DiffusionModel").replace("grid = 4", "grid = 14"))
    sampling = "evaluation.sampling={sampler='ddim', steps=3}"
    recipe = Recipe.load(recipe_path).override(["training.epochs=2", "model.config.super_resolution=2", sampling])
    folder = train(recipe, tmp_path / "run", verbose=0)
    assert len(list((tmp_path / "run" / "samples").iterdir())) == 2
    model, report = kerasgen.load(folder), json.loads((folder / "metrics.json").read_text())
    assert set(report["metrics"]) == {"mean_squared_error", "psnr", "bits_per_dim", "memorisation/pixels"}
    images, labels = load_split(recipe, "test")
    large = model.upscale(model.downscale(images), labels, seed=0, sampler="ddim", steps=3)
    error = np.square(large - images / 255.0).mean()
    assert report["metrics"]["mean_squared_error"]["value"] == pytest.approx(error, rel=1e-5)
    with Image.open(folder / "samples.png") as grid:
        assert grid.size == (58 * 8 + 2, 58 * 3 + 2)
        rows = np.asarray(grid)[2:].reshape(3, 58, -1)[:, :56, 2:].reshape(3, 56, 8, 58)[..., :56]
    small = model.downscale(images)[..., 0].repeat(14, axis=1).repeat(14, axis=2)
    np.testing.assert_array_equal(rows[0].swapaxes(0, 1), small)
    np.testing.assert_array_equal(rows[2].swapaxes(0, 1), images[..., 0].repeat(7, axis=1).repeat(7, axis=2))
    card = (folder / "README.md").read_text()
    assert all(figure["given"] == [4, 4, 1] for figure in report["metrics"].values())
    for part in (
        "image-to-image",
        "given each image at 4 x 4",
        "below each what was drawn for it",
        "upscale(small, labels=np.zeros(16, np.int32), ",
    ):
        assert part in card
    write_package(folder, tmp_path, "me/tiny")
    write_report(recipe, model, folder, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text().count("<img") == 1


@pytest.mark.slow
@pytest.mark.parametrize("family", ["VariationalAutoencoder", *OTHERS])
def test_killed_equals_unkilled(family, recipe_path, tmp_path):
    """Killed twice, at whatever moment after the second and the fourth epoch was logged."""
    if family in OTHERS:
        recipe_path.write_text(of_family(recipe_path, family))
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run_until(recipe_path, whole)
    run_until(recipe_path, killed, 2)
    run_until(recipe_path, killed, 4)
    run_until(recipe_path, killed)
    a, b = map(newest_backup, (whole, killed))
    assert set(a) == set(b)
    for name in set(a) - {"facts"}:
        np.testing.assert_array_equal(a[name], b[name])
    for x, y in zip(*(kerasgen.load(f / "checkpoint").get_weights() for f in (whole, killed)), strict=True):
        np.testing.assert_array_equal(x, y)
    assert (whole / "log.csv").read_text() == (killed / "log.csv").read_text()


def test_a_run_of_pairs(recipe_path, tmp_path):
    """Made of the images of one data set."""
    recipe_path.write_text(of_family(recipe_path, "Pix2Pix"))
    recipe = Recipe.load(recipe_path).override(["training.epochs=2"])
    folder = train(recipe, tmp_path / "run", verbose=0)
    with Image.open(folder / "samples.png") as grid:
        assert grid.size == (58 * 8 + 2, 58 * 2 + 2)  # 8 images over what was made of them
    report = json.loads((folder / "metrics.json").read_text())
    assert {"mean_squared_error", "psnr"} <= set(report["metrics"])
    assert report["metrics"]["psnr"]["n"] == 8
    assert "model.translate(images)" in (folder / "README.md").read_text()
    assert kerasgen.load(folder).translate(np.zeros((1, 8, 8, 1), np.uint8)).shape == (1, 8, 8, 1)


def test_a_run_of_texts(tmp_path):
    """Samples are texts, of which the card shows some; killed, it goes on to the same weights."""
    (tmp_path / "names.txt").write_text("anna\nbab\nada\ndana\nbea\n" * 20)
    texts = {"source": str(tmp_path / "names.txt"), "texts": "lines", "title": "names"}
    network = {"class": "Transformer", "width": 8, "depth": 1}
    config = {"shape": [6], "vocabulary": ["", *"abden"], "network": network}
    splits = {"train_split": "train[:80%]", "validation_split": "train[80%:]", "test_split": "train[80%:]"}
    recipe = Recipe.from_dict(
        {
            "name": "names",
            "description": "Some names.",
            "dataset": texts | splits,
            "model": {"class": "AutoregressiveTransformer", "config": config},
            "training": {"epochs": 2, "batch_size": 16, "optimizer": "adamw", "learning_rate": 1e-2},
            "evaluation": {"split": "train[80%:]", "num_samples": 20, "grid": 5},
        }
    )
    folder = train(recipe, tmp_path / "run", verbose=0)
    assert len((folder / "samples.txt").read_text().splitlines()) == 5
    assert not (folder / "samples.png").exists()
    assert len(list((tmp_path / "run" / "samples").glob("epoch-*.txt"))) == 2
    figures = json.loads((folder / "metrics.json").read_text())["metrics"]
    assert set(figures) == {"nats_per_token", "bits_per_char", "longest_copy", "repetition", "novelty", "distinct"}
    model = kerasgen.load(folder)
    x, _ = load_split(recipe, "train[80%:]")
    nats = -model.log_prob(x, verbose=0).sum() / model.modality.counts(x).sum()
    assert figures["nats_per_token"]["value"] == pytest.approx(nats, rel=1e-5)
    card = (folder / "README.md").read_text()
    assert (folder / "samples.txt").read_text().splitlines()[0] in card
    assert "pipeline_tag: text-generation" in card
    write_report(recipe, model, folder, tmp_path / "page.html")
    assert f"<pre>{(folder / 'samples.txt').read_text()[:-1]}</pre>" in (tmp_path / "page.html").read_text()

    def kill(epoch, logs):
        if epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        callbacks = [keras.callbacks.LambdaCallback(on_epoch_begin=kill)]
        train(recipe, tmp_path / "killed", verbose=0, callbacks=callbacks)
    again = kerasgen.load(train(recipe, tmp_path / "killed", verbose=0))
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_run_of_sounds(tmp_path):
    """A classifier tells low tones from high ones, and a model draws spectrograms of them."""
    soundfile = pytest.importorskip("soundfile")
    pytest.importorskip("soxr")
    (tmp_path / "tones").mkdir()
    times = np.arange(256) / 8000
    for index in range(40):
        tone = 0.5 * np.sin(2 * np.pi * (500 if index % 2 else 2000) * times + index)
        soundfile.write(tmp_path / "tones" / f"{index % 2}_anna_{index}.wav", tone, 8000)
    splits = {"train_split": "train", "validation_split": "test", "test_split": "test"}
    pattern = r"(?P<label>\d)_\w+_((?P<test>\d|1[01])|\d+)"
    dataset = {"source": str(tmp_path / "tones"), "pattern": pattern, "labels": True}
    kind = {"class": "sounds", "sample_rate": 8000, "num_samples": 256, "window": 32, "hop": 8}
    network = {"class": "UNet", "width": 4, "multipliers": [1], "blocks": 1, "attention": [], "patch": 4}

    def recipe(name, family, epochs, **config):
        model = {"class": family, "config": {"shape": kind, "num_classes": 2} | config}
        training = {"epochs": epochs, "batch_size": 8, "optimizer": "adam", "learning_rate": 1e-2}
        evaluation = {"num_samples": 16, "grid": 4, "num_evaluations": 4, "likelihood_images": 2}
        told = {"name": name, "description": "Of tones."}
        tables = {"dataset": dataset | splits, "model": model, "training": training, "evaluation": evaluation}
        return Recipe.from_dict(told | tables)

    # 36 steps: after 9, a third of the moving variances is still what they began with.
    classifier = train(recipe("tones", "Classifier", 12, width=4), tmp_path / "classifier", verbose=0)
    accuracy = json.loads((classifier / "metrics.json").read_text())["metrics"]["accuracy"]
    assert (accuracy["value"], accuracy["n"]) == (1.0, 12)
    drawing = recipe("drawn", "FlowMatching", 3, network=network)
    drawing = drawing.override([f"evaluation.extractor={str(classifier)!r}"])
    folder = train(drawing, tmp_path / "drawing", verbose=0)
    figures = json.loads((folder / "metrics.json").read_text())["metrics"]
    assert {"frechet_distance", "sample_accuracy"} <= {name.partition("/")[0] for name in figures}
    with Image.open(folder / "samples.png") as picture:
        assert picture.size[0] >= 2 * 32
    model = kerasgen.load(folder)
    assert model.modality.config == kind | {"decibels": 80.0}
    write_report(drawing, model, folder, tmp_path / "page.html")


def test_a_run_with_attributes_and_a_perceptual_distance(tmp_path):
    """An autoencoder, and a model of its latents by attributes, of a data set that has four of them."""
    tfds = pytest.importorskip("tensorflow_datasets")
    rng = np.random.default_rng(0)
    features = {
        "image": tfds.features.Image(shape=(16, 16, 1)),
        "traits": tfds.features.Tensor(shape=(4,), dtype=np.bool_),
    }
    examples = [
        {"image": rng.integers(0, 256, (16, 16, 1), dtype=np.uint8), "traits": rng.integers(0, 2, 4).astype(bool)}
        for _ in range(28)
    ]
    settings = {"features": tfds.features.FeaturesDict(features), "data_dir": tmp_path / "data"}
    splits = {"train": list(enumerate(examples[:16])), "test": list(enumerate(examples[16:]))}
    tfds.dataset_builders.store_as_tfds_dataset("faces", "1.0.0", split_datasets=splits, **settings)
    source = str(tmp_path / "data" / "faces" / "1.0.0")
    judge = kerasgen.Classifier((16, 16, 1), 4, attributes=True, width=4)
    judge.save(tmp_path / "judge")
    table = {
        "name": "ae",
        "description": "An autoencoder.",
        "dataset": {"source": source, "train_split": "train", "test_split": "test"},
        "model": {
            "class": "Autoencoder",
            "config": {"shape": [16, 16, 1], "latent_dim": 32, "width": 4, "num_components": 0}
            | {part: {"class": "spatial"} for part in ("encoder", "decoder")},
        },
        "training": {"epochs": 1, "batch_size": 8, "optimizer": "adam", "learning_rate": 1e-3}
        | {"perceptual": str(tmp_path / "judge"), "perceptual_weight": 5.0},
        "evaluation": {"num_samples": 12, "extractor": str(tmp_path / "judge"), "grid": 4},
    }
    folder = train(Recipe.from_dict(table), tmp_path / "ae", verbose=0)
    assert set(json.loads((folder / "metrics.json").read_text())["metrics"]) == {"mean_squared_error", "psnr", "ssim"}
    card = (folder / "README.md").read_text()
    for part in ("z = model.encode(images)  # float32 [16, 32]", "and their reconstructions below"):
        assert part in card
    grid = {
        "class": "grid",
        "sides": [4, 4],
        "network": {"class": "DiT", "width": 8, "depth": 1, "heads": 1, "patch": 2},
    }
    table["dataset"] |= {"labels": "traits", "columns": [2, 0]}
    config = {"autoencoder": str(folder), "attributes": ["third", "first"]}
    table["model"] = {
        "class": "LatentDiffusion",
        "config": config | {"denoiser": {"class": "FlowMatching", "network": grid}},
    }
    with pytest.raises(RecipeError, match="a LatentDiffusion has no such loss"):
        train(Recipe.from_dict(table), tmp_path / "wrong", verbose=0)
    del table["training"]["perceptual"]
    folder = train(Recipe.from_dict(table), tmp_path / "flow", verbose=0)
    figures = json.loads((folder / "metrics.json").read_text())["metrics"]
    assert set(figures["attribute_accuracy/judge"]["by_attribute"]) == {"third", "first"}
    assert 'model.sample(16, labels={"third": 1}' in (folder / "README.md").read_text()
    assert kerasgen.load(folder).sample(2, labels={"first": 0}, steps=1).shape == (2, 16, 16, 1)


def test_non_finite_loss_stops_and_keeps_the_backup(recipe_path, tmp_path):
    recipe = Recipe.load(recipe_path).override(["training.learning_rate=1e30", "training.warmup_steps=0"])
    with pytest.raises(kerasgen.errors.KerasgenError, match=r"at step \d+\. .*lower training\.learning_rate"):
        train(recipe, tmp_path / "run", verbose=0)
    assert not (tmp_path / "run" / "checkpoint").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.class=Transformer", "expected one of"),
        ("model.class=CycleGAN", r"dataset\.domain is None; a CycleGAN needs"),
        ("model.class=Pix2Pix", r"dataset\.pairs is None; a Pix2Pix needs to be told what it is given"),
        ("dataset.domain=1", r"dataset\.domain is 1; a VariationalAutoencoder does not train on such"),
        ("dataset.pairs=gray", r"dataset\.pairs is gray; a VariationalAutoencoder does not train on such"),
        ("model.config.colour=red", "colour"),
        ("model.config.latent_dim=0", "latent_dim"),
    ],
)
def test_models_that_cannot_be_built(recipe_path, override, message):
    with pytest.raises(RecipeError, match=message):
        build(Recipe.load(recipe_path).override([override]))


def test_only_images_are_flipped(recipe_path, tmp_path):
    """Before anything is read or trained."""
    others = ["dataset.moving=2", "dataset.labels=false", "model.config.shape=[2, 8, 8, 1]"]
    recipe = Recipe.load(recipe_path).override(others)
    with pytest.raises(RecipeError, match=r"dataset\.flip is of images"):
        train(recipe, tmp_path / "run", verbose=0)


def test_a_handle_in_a_recipe_becomes_the_model(recipe_path, tmp_path):
    """Where the family takes a model, which keeps its weights."""
    autoencoder = kerasgen.Autoencoder((8, 8, 1), 2, width=4, encoder="dense", decoder="dense")
    autoencoder.save(tmp_path / "autoencoder")
    network = '{class = "MLP", width = 8, depth = 1}'
    config = f'{{autoencoder = "{tmp_path}/autoencoder", denoiser = {{class = "FlowMatching", network = {network}}}}}'
    recipe = Recipe.load(recipe_path).override(["model.class=LatentDiffusion", f"model.config={config}"])
    model = build(recipe)
    assert model.shape == (8, 8, 1)
    for one, other in zip(model.autoencoder.get_weights(), autoencoder.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(UnknownModelError, match="no model 'nothing'"):
        build(recipe.override(["model.config.autoencoder=nothing"]))


def test_optimizers():
    from kerasgen.training.optimizers import optimizer

    recipe = Recipe.from_dict(
        {
            "name": "a",
            "description": "b",
            "dataset": {"source": "x", "train_split": "train", "test_split": "test"},
            "model": {"class": "Autoencoder", "config": {}},
            "training": {"epochs": 1, "batch_size": 1, "optimizer": "adam", "learning_rate": 0.1},
        }
    )
    assert float(optimizer(recipe.training, 100).learning_rate) == pytest.approx(0.1)
    for schedule, last in (("constant", 0.1), ("cosine", 0.0)):
        rate = optimizer(
            recipe.override([f"training.schedule={schedule}", "training.warmup_steps=10"]).training, 100
        )._learning_rate
        values = [float(rate(step)) for step in (0, 5, 10, 55, 100)]
        middle = 0.1 if schedule == "constant" else 0.05
        np.testing.assert_allclose(values, [0.0, 0.05, 0.1, middle, last], atol=1e-6)


def test_a_faster_backend_is_named():
    """On a CPU: TensorFlow for images and sequences, JAX, where it is installed, for vectors."""
    modalities = Images((28, 28, 1)), Tokens((2,), 4), Vectors((2,))
    found = (hardware.faster_backend(SimpleNamespace(modality=modality)) for modality in modalities)
    images, sequences, vectors = found
    backend = keras.backend.backend()
    assert images == sequences == (None if backend == "tensorflow" else "tensorflow")
    assert vectors == (None if backend == "jax" or not importlib.util.find_spec("jax") else "jax")
