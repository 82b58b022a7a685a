"""The evaluator, on a small model and a small classifier; comparing; the report."""

import dataclasses
import json
import shutil
import warnings

import keras
import numpy as np
import pytest
from keras import layers

from kerasgen import GAN, Classifier, VariationalAutoencoder, recipes
from kerasgen.cli import main
from kerasgen.errors import InputError
from kerasgen.metrics import FIGURES, Evaluation, cache, compare, evaluate, figures
from kerasgen.training.extractors import load_extractor
from tests.model_case import long_fit


@pytest.fixture(scope="module")
def squares():
    """Bright squares in four places of 24 x 24 images; the place is the label."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 40, (240, 24, 24, 1), dtype=np.uint8)
    y = (np.arange(240) % 4).astype(np.int32)
    for image, label in zip(x, y, strict=True):
        top, left = 12 * (label // 2), 12 * (label % 2)
        image[top : top + 12, left : left + 12] += 180
    return x, y


@pytest.fixture(scope="module")
def folder(squares, tmp_path_factory):
    """Of the classifier that is measured with."""
    keras.utils.set_random_seed(0)
    model = Classifier(shape=(24, 24, 1), num_classes=4, backbone="lenet", width=4)
    model.compile(keras.optimizers.Adam(1e-2))
    long_fit(model, *squares, 2)
    folder = tmp_path_factory.mktemp("extractor") / "lenet-squares"
    model.save(folder)
    return folder


@pytest.fixture(scope="module")
def model(squares):
    keras.utils.set_random_seed(0)
    networks = {"encoder": "dense", "decoder": "dense", "width": 32}
    model = VariationalAutoencoder(shape=(24, 24, 1), latent_dim=2, num_classes=4, **networks)
    model.compile(keras.optimizers.Adam(3e-3))
    long_fit(model, *squares, 4)
    return model


@pytest.fixture
def run(model, squares, folder, tmp_path, monkeypatch):
    """Makes an evaluation of the model; `settings` are those of a recipe."""
    monkeypatch.setenv("KERASGEN_HOME", str(tmp_path))

    def make(extractor=folder, training=lambda: squares[0], **settings):
        settings = {"num_samples": 200, "num_importance_samples": 8, "batch_size": 64} | settings
        return Evaluation(
            model,
            squares[0][:100],
            squares[1][:100],
            "test",
            settings=recipes.Evaluation(**settings),
            dataset="squares",
            extractor=None if extractor is None else load_extractor(str(extractor)),
            training=training,
            verbose=0,
        )

    return make


def test_every_figure_says_how(run):
    report = evaluate(run())
    figures = report["metrics"]
    assert json.loads(json.dumps(report)) == report
    extracted = {name for name in figures if name.endswith("/lenet-squares")}
    assert {name.partition("/")[0] for name in extracted} == {
        "frechet_distance",
        "kernel_distance",
        "precision",
        "recall",
        "density",
        "coverage",
        "inception_score",
        "confidence",
        "sample_accuracy",
        "path_length",
    }
    others = {"mean_squared_error", "psnr", "ssim", "bits_per_dim", "nats_per_image", "likelihood_calibration"}
    assert set(figures) - extracted == others | {"ms_ssim", "memorisation/pixels"}
    for name, figure in figures.items():
        assert np.isfinite(figure["value"]), name
        assert figure["dataset"] == "squares"
        assert figure["split"] == "test"
        if figure["standard_error"] is not None:
            low, high = figure["confidence_interval"]
            assert low <= figure["value"] <= high
    for name in extracted:
        assert len(figures[name]["extractor_sha256"]) == 64
        assert figures[name]["sampler"] == {"name": "one pass", "steps": 1, "temperature": 1.0}
    assert figures["frechet_distance/lenet-squares"]["n_real"] == 100
    assert figures["frechet_distance/lenet-squares"]["n_fake"] == 200
    calibration = figures["likelihood_calibration"]
    assert calibration["num_importance_samples"] == [1, 4, 16]
    assert calibration["bits_per_dim"][0] > calibration["bits_per_dim"][-1]


def test_labels_are_in_the_shares_of_the_split(run, model, squares):
    """Of 94 % to 6 %: as many samples; of equal shares the classes in turn, as the remainders of any number are."""
    uneven = np.repeat([0, 3], [94, 6])
    other = run(num_samples=100)
    other.labels, other.images = uneven, squares[0][uneven]
    assert (np.bincount(other.synthesized[1], minlength=4) == [94, 0, 0, 6]).all()
    assert np.diff(np.flatnonzero(other.synthesized[1] == 3)).min() > 10  # spread evenly
    report = evaluate(other, ["class_accuracy"])["metrics"]["sample_accuracy/lenet-squares"]
    assert report["labels"] == "in the shares of the split"
    assert [value is None for value in report["by_class"]] == [False, True, True, False]
    rng = np.random.default_rng(0)
    for num in (1, 7, 40, 101):
        assert (model.labels_to_compare(rng.permutation(np.arange(400) % 4), num) == np.arange(num) % 4).all()
        labels = rng.choice(4, 250, p=[0.6, 0.3, 0.07, 0.03])
        given = model.labels_to_compare(labels, num)
        assert given.dtype == np.int32
        shares = num * np.bincount(labels, minlength=4) / 250
        up = np.bincount(given, minlength=4) - np.floor(shares)
        assert set(up) <= {0, 1}
        assert (shares % 1.0)[up == 1].min(initial=1.0) >= (shares % 1.0)[up == 0].max(initial=0.0)
    assert (model.labels_to_compare(None, 6) == [0, 1, 2, 3, 0, 1]).all()


@dataclasses.dataclass
class Pixels:
    """An extractor whose features are pixels."""

    name: str = "pixels"
    sha256: str = "0" * 64
    num_classes: int | None = None

    def check_shape(self, shape):
        pass

    def extract(self, images, batch_size=250, verbose="auto"):
        assert images.dtype != np.uint8  # a length is that of what is decoded, not of what it is rounded to
        return images.reshape(len(images), -1), None


def test_path_length_of_a_gan():
    """Of a linear generator: |W dz/dt|^2 / 4 in closed form, W orthogonal; truncation and temperature count."""
    dense = layers.Dense(16, use_bias=False)
    model = GAN(
        (4, 4, 1), 6, keras.Sequential([keras.Input((6,)), dense, layers.Reshape((4, 4, 1))]), {"class": "dense"}
    )
    dense.kernel.assign(0.1 * np.linalg.qr(np.random.default_rng(0).normal(size=(16, 6)))[0].T)
    x = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 1), dtype=np.uint8)
    for sampling in ({}, {"truncation": 0.5}):
        settings = recipes.Evaluation(num_samples=400, temperature=0.9, sampling=sampling)
        run = Evaluation(model, x, None, "test", settings=settings, extractor=Pixels(), verbose=0)
        (figure,) = evaluate(run, ["path_length"])["metrics"].values()
        z = model.draw_latents(0, 800, 0, 0.9, **sampling).astype(np.float64)
        lengths = np.linalg.norm(z, axis=1)
        angle = np.arccos((z[:400] * z[400:]).sum(axis=1) / lengths[:400] / lengths[400:])
        mean_square = (lengths[:400] ** 2 + lengths[:400] * lengths[400:] + lengths[400:] ** 2) / 3.0  # over t
        expected = 0.05**2 * (angle**2 * mean_square + (lengths[:400] - lengths[400:]) ** 2).mean()
        assert figure["value"] == pytest.approx(expected, rel=0.02)
        protocol = {"space": "z", "interpolation": "slerp", "places": "full", "epsilon": 0.01, "n": 400}
        assert protocol.items() <= figure.items()
    assert "path_length" in model.measures()


@pytest.mark.parametrize("fault", ["a file", "a file below", "too long a name"])
def test_a_cache_that_cannot_be_written_is_skipped(run, tmp_path, monkeypatch, fault):
    """With a warning; nothing that was extracted is lost, and the figures are the same."""
    expected = evaluate(run(), ["kernel_distance"])["metrics"]
    home = tmp_path / "home"
    if fault == "a file":
        home.write_text("")
    elif fault == "a file below":
        home.mkdir()
        (home / "features").write_text("")
    else:
        home = tmp_path / ("a" * 300)
    monkeypatch.setenv("KERASGEN_HOME", str(home))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = evaluate(run(), ["kernel_distance"])["metrics"]
    assert sum("is not kept for the next time" in str(warning.message) for warning in caught) == 1
    assert found.keys() == expected.keys()
    for name, figure in found.items():
        assert figure["value"] == pytest.approx(expected[name]["value"], rel=1e-6)


def test_a_full_disk_is_skipped(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.np, "savez", full)
    with pytest.warns(UserWarning, match="No space left"):
        assert not cache.write(tmp_path / "features" / "x.npz", {"x": np.zeros(3)})
    assert not list((tmp_path / "features").iterdir())


def test_examples_and_labels_are_checked(run, squares, model):
    """Before anything is drawn; floats in [0, 1] are the pixels that they are."""
    x, y = squares
    floats = Evaluation(model, x[:5] / np.float32(255.0), y[:5], "test", verbose=0)
    np.testing.assert_array_equal(floats.images, x[:5])
    for images, labels, message in [
        (x[:5].astype(np.float32), y[:5], "range over"),
        (x[:5, :8], y[:5], "shape"),
        (x[:0], y[:0], "no images"),
        (x[:5] / 255.0 * np.nan, y[:5], "NaN"),
        (x[:5], y[:4], r"labels have shape \(4,\)"),
        (x[:5], y[:5] + 3, "classes"),
        (x[:5], np.eye(4)[y[:5]], "labels"),
    ]:
        with pytest.raises(InputError, match=message):
            Evaluation(model, images, labels, "test", verbose=0)
    with pytest.raises(InputError, match="more images and samples than classes"):
        evaluate(run(num_samples=4), ["ms_ssim"])


def test_copies_are_looked_for_in_images_of_either_form(run, squares):
    """Floats in [0, 1] are the pixels that they are; `pixels` itself takes uint8 alone."""
    forms = (squares[0], squares[0] / np.float32(255.0))
    found = [evaluate(run(training=lambda x=x: x), ["memorisation"])["metrics"] for x in forms]
    assert found[0]["memorisation/pixels"]["value"] == found[1]["memorisation/pixels"]["value"]
    for bad in (forms[1], squares[0][0, ..., 0]):
        with pytest.raises(InputError, match="expected uint8"):
            figures.pixels(bad)


def test_samples_that_are_not_finite(run, model):
    weights = model.get_weights()
    try:
        model.set_weights([np.full_like(w, np.nan) for w in weights])
        with pytest.raises(InputError, match="200 of 200 samples have values that are not finite"):
            evaluate(run(), ["frechet_distance"])
    finally:
        model.set_weights(weights)


def test_some_figures(run, monkeypatch):
    first = evaluate(run(), ["frechet_distance", "class_accuracy"])
    names = {"frechet_distance/lenet-squares", "confidence/lenet-squares", "sample_accuracy/lenet-squares"}
    assert set(first["metrics"]) == names
    # Features of the real images come from the cache, and change nothing.
    other = run()
    real = other.extractor.extract
    other.extractor.extract = lambda images, **batching: (
        pytest.fail("extracted again") if len(images) == 100 else real(images)
    )
    again = evaluate(other, ["frechet_distance"])
    name = "frechet_distance/lenet-squares"
    assert again["metrics"][name]["value"] == pytest.approx(first["metrics"][name]["value"], rel=1e-6)


def test_train_on_synthetic(run, squares, folder, tmp_path, monkeypatch):
    """By the recipe beside the extractor, but for fewer epochs."""
    folder = shutil.copytree(folder, tmp_path / "lenet-squares")
    with pytest.raises(InputError, match="has no recipe"):
        run(folder).extractor.retrained(*squares, 2, 0, 0)
    (folder / "recipe.toml").write_text(
        'name = "lenet-squares"\ndescription = "x"\n[dataset]\nsource = "x"\ntrain_split = "x"\ntest_split = "x"\n'
        '[model]\nclass = "Classifier"\n[model.config]\n'
        '[training]\nepochs = 30\nbatch_size = 16\noptimizer = "adam"\nlearning_rate = 1e-2\n'
    )
    monkeypatch.setattr(figures, "SYNTHETIC", 160)
    monkeypatch.setattr(figures, "SYNTHETIC_EPOCHS", 2)
    (figure,) = evaluate(run(folder), ["train_on_synthetic"])["metrics"].values()
    assert (figure["n"], figure["n_fake"], figure["epochs"]) == (100, 160, 2)
    assert 0.3 < figure["value"] <= 1.0


def test_refusals(run, tmp_path):
    small = tmp_path / "small"
    Classifier(shape=(8, 8, 1), num_classes=4, backbone="lenet", width=4).save(small)
    for metrics, settings, message in [
        (["fid"], {}, "no metric 'fid'; expected of accuracy"),
        (["accuracy"], {}, "needs another family"),
        (["frechet_distance"], {"extractor": None}, "needs an extractor"),
        (["kernel_distance"], {"num_samples": 9}, "at least 10"),
        (["bits_per_dim", "recall"], {}, "no metric 'recall'"),
        (["class_accuracy"], {"extractor": small}, r"takes images of shape \(8, 8, 1\), not \(24, 24, 1\)"),
        (["memorisation"], {"training": None}, "training set"),
    ]:
        with pytest.raises(InputError, match=message):
            evaluate(run(**settings), metrics)
    assert set(FIGURES) >= {"frechet_distance", "train_on_synthetic"}


def test_compare(run, tmp_path, capsys):
    for bad in ({}, [], {"metrics": []}, {"metrics": {"psnr": 3.0}}):
        with pytest.raises(InputError, match="b has no figures"):
            compare({"metrics": {}}, bad)
    reports = [
        {"model": name} | evaluate(run(**settings), ["mean_squared_error", "frechet_distance"])
        for name, settings in (("a", {}), ("b", {"num_samples": 100}), ("c", {}))
    ]
    a, b, c = reports
    name = "frechet_distance/lenet-squares"
    alike, unlike = compare(a, b)
    assert set(alike) == {"mean_squared_error"}
    assert unlike == {name: {"n_fake": (200, 100)}}
    alike, unlike = compare(a, c)
    assert set(alike) == {"mean_squared_error", name}
    assert not unlike
    paths = [tmp_path / f"{report['model']}.json" for report in reports]
    for path, report in zip(paths, reports, strict=True):
        path.write_text(json.dumps(report))

    def command(*args):
        return main.execute(main.parser().parse_args(["compare", *map(str, args)]))

    assert command(paths[0], paths[2]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["metric", "mean_squared_error", name]
    assert command(paths[0], paths[1]) == 1
    assert f"{name} is not compared: n_fake is 200 and 100" in capsys.readouterr().out
    (tmp_path / "bad.json").write_text("{}")
    assert command(paths[0], tmp_path / "bad.json") == 1
    assert "is not a metrics.json" in capsys.readouterr().err
