"""`SampleQuality`: a figure of samples in the logs, for `ModelCheckpoint`, tuners and recipes."""

import math

import keras
import pytest

import kerasgen
from kerasgen.classifiers.extractor import ClassifierExtractor
from kerasgen.errors import InputError, RecipeError
from kerasgen.hub.registry import read_log
from kerasgen.metrics import kernel_distance
from kerasgen.recipes import Recipe
from kerasgen.training.run import train
from tests.model_case import write_pictures


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """The folder of a classifier."""
    folder = tmp_path_factory.mktemp("judge") / "judge"
    keras.utils.set_random_seed(0)
    kerasgen.Classifier((8, 8, 1), 4, backbone="lenet", width=4).save(folder)
    return folder


def make():
    return kerasgen.VariationalAutoencoder((8, 8, 1), 2, width=4, num_classes=4, decoder_distribution="gaussian")


def test_checkpoints_are_kept_by_it(images, judge, tmp_path):
    x, y = images
    quality = kerasgen.callbacks.SampleQuality(x, str(judge), y, every=2, num_samples=20)
    path = tmp_path / "best.keras"
    keep = keras.callbacks.ModelCheckpoint(path, monitor="val_kernel_distance", mode="min", save_best_only=True)
    model = make()
    model.compile()
    logs = model.fit(x, y, batch_size=8, epochs=5, callbacks=[quality, keep], verbose=0).history
    found = logs["val_kernel_distance"]
    assert [math.isinf(value) for value in found] == [True, False, True, False, True]
    best = keras.saving.load_model(path)
    extractor = ClassifierExtractor(kerasgen.load(judge), "judge", "")
    features = [extractor.extract(a, verbose=0)[0] for a in (x[:20], best.sample(20, labels=y[:20], seed=0, verbose=0))]
    assert kernel_distance(*features)[0] == pytest.approx(min(found), rel=1e-4)


def test_of_a_recipe(judge, tmp_path):
    write_pictures(tmp_path / "data")
    table = {
        "name": "tiny",
        "description": "Squares.",
        "dataset": {"source": str(tmp_path / "data"), "train_split": "train", "test_split": "test"}
        | {"validation_split": "test", "image_size": 8, "channels": 1, "labels": True},
        "model": {"class": "GAN", "config": {"shape": [8, 8, 1], "latent_dim": 2}},
        "training": {"epochs": 2, "batch_size": 8, "optimizer": "adam", "learning_rate": 1e-3, "quality_every": 2}
        | {"monitor": "val_kernel_distance"},
        "evaluation": {"num_samples": 8, "extractor": str(judge), "grid": 4},
    }
    table["model"]["config"] |= {name: {"class": "conv", "width": 4} for name in ("generator", "discriminator")}
    train(Recipe.from_dict(table), tmp_path / "run", verbose=0)
    values = [float(row["val_kernel_distance"]) for row in read_log(tmp_path / "run")]
    assert math.isinf(values[0])
    assert math.isfinite(values[1])
    del table["evaluation"]["extractor"]
    with pytest.raises(RecipeError, match=r"training\.quality_every needs evaluation\.extractor"):
        train(Recipe.from_dict(table), tmp_path / "other", verbose=0)


def test_what_it_cannot_measure(images, judge):
    x, y = images
    for settings in ({"every": 0}, {"num_samples": 2}):
        with pytest.raises(InputError, match=next(iter(settings))):
            kerasgen.callbacks.SampleQuality(x, str(judge), **settings)
    model = kerasgen.Classifier((8, 8, 1), 4, backbone="lenet", width=4)
    model.compile()
    with pytest.raises(InputError, match="does not sample"):
        model.fit(x, y, callbacks=[kerasgen.callbacks.SampleQuality(x, str(judge))], verbose=0)
