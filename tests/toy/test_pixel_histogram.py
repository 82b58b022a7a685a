"""A family that is added from outside, as CONTRIBUTING.md says, has all that kerasgen does for a family."""

import json
import os

import numpy as np
import pytest
import scipy.special
import scipy.stats
from PIL import Image

import kerasgen
from kerasgen.cli.main import execute, parser
from kerasgen.recipes import Recipe
from kerasgen.training.run import evaluate_recipe, train
from tests.model_case import ModelCase, assert_same
from tests.toy.pixel_histogram import PixelHistogram

FOLDER = os.path.dirname(__file__)


class TestPixelHistogram(ModelCase):
    def make(self, **arguments):
        return PixelHistogram(**({"shape": (8, 8, 1)} | arguments))


def test_log_prob_is_that_of_the_histograms(images):
    x, _ = images
    model = PixelHistogram((8, 8, 1))
    model.scores.assign(np.random.default_rng(0).normal(size=(8, 8, 1, 8)))
    logs = scipy.special.log_softmax(np.asarray(model.get_weights()[0], np.float64), axis=-1)
    expected = np.take_along_axis(np.broadcast_to(logs, (32, 8, 8, 1, 8)), (x // 32)[..., None].astype(int), -1)
    assert_same(model.log_prob(x), expected.sum(axis=(1, 2, 3, 4)), 1e-3)
    assert_same(model.bits_per_dim(x), -expected.sum(axis=(1, 2, 3, 4)) / 64 / np.log(2.0), 1e-4)


def test_training_ends_at_the_histograms_of_the_data(images):
    """Bits per dimension fall to the entropy of each pixel's values; samples have the same frequencies."""
    x, _ = images
    model = PixelHistogram((8, 8, 1), num_bits=2)
    model.compile()
    model.fit(np.tile(x, (200, 1, 1, 1)), batch_size=32, shuffle=False, verbose=0)
    frequencies = (x[..., None] // 64 == np.arange(4)).mean(axis=0)  # [8, 8, 1, 4]
    entropy = scipy.stats.entropy(frequencies, axis=-1, base=2).mean()
    assert model.bits_per_dim(x).mean() == pytest.approx(entropy, rel=0.01)
    samples = model.sample(2000, seed=0, verbose=0)
    drawn = (np.rint(3 * samples)[..., None] == np.arange(4)).mean(axis=0)
    assert np.abs(drawn - frequencies).max() < 0.05  # 4 standard errors of a share of 2000
    assert_same(model.sample(1, seed=0, temperature=0.0)[0], frequencies.argmax(axis=-1) / 3)


@pytest.fixture
def recipe(images, tmp_path):
    """The recipe over a folder of 24 + 8 pictures."""
    for index, image in enumerate(images[0]):
        path = tmp_path / "data" / ("train" if index < 24 else "test") / "square" / f"{index:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(path)
    return Recipe.load(f"{FOLDER}/recipe.toml").override([f'dataset.source="{tmp_path}/data"'])


def test_from_recipe_to_hub(recipe, hub_server, tmp_path, monkeypatch):
    """Trained, evaluated, carded, published, loaded again and drawn by the command line."""
    hub_server.clear()
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    folder = train(recipe, tmp_path / "run", verbose=0)
    report = json.loads((folder / "metrics.json").read_text())
    model = PixelHistogram.from_preset(folder)
    for name, figure in evaluate_recipe(recipe, model, "test", verbose=0)["metrics"].items():
        assert figure["value"] == pytest.approx(report["metrics"][name]["value"], rel=1e-5)
    assert {"bits_per_dim", "memorisation/pixels"} <= set(report["metrics"])
    bits = report["metrics"]["bits_per_dim"]
    assert (bits["kind"], bits["pixels"]) == ("exact", "2-bit")
    assert bits["value"] < 1.2  # 2 untrained
    card = (folder / "README.md").read_text()
    for part in ("# pixel-histogram-squares", "exact, 2-bit pixels", "](samples.png)"):
        assert part in card
    assert len(list((tmp_path / "run" / "samples").iterdir())) == 40

    published = kerasgen.publish(folder, "me/histogram")
    assert published.changed
    assert "samples.png" in hub_server.repositories["me/histogram"].files
    again = kerasgen.load("me/histogram", cache_dir=tmp_path / "cache")
    assert_same(again.sample(4, seed=0), model.sample(4, seed=0), 0.0)

    def command(*arguments):
        assert execute(parser().parse_args(list(map(str, arguments)))) == 0

    command("sample", "me/histogram", "--num_samples", 4, "--output", tmp_path / "grid.png")
    command("sample", folder, "--num_samples", 4, "--output", tmp_path / "samples.npy")
    data = ("--dataset", recipe.dataset.source)
    command("evaluate", folder, *data, "--metrics", "bits_per_dim", "--output", tmp_path / "figures.json")
    command("report", folder, *data, "--output", tmp_path / "report.html")
    with Image.open(tmp_path / "grid.png") as grid:
        assert np.asarray(grid).std() > 20
    assert_same(np.load(tmp_path / "samples.npy"), model.sample(4, seed=0), 0.0)
