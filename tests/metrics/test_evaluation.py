"""The evaluator, on a small model and a small classifier; comparing; the report."""

import json
import shutil

import keras
import numpy as np
import pytest

from kerasgen import Classifier, VariationalAutoencoder, recipes
from kerasgen.cli import main
from kerasgen.errors import InputError
from kerasgen.metrics import FIGURES, Evaluation, compare, evaluate, figures
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
