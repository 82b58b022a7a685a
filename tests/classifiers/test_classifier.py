import json

import keras
import numpy as np
import pytest
from keras import layers, ops

import kerasgen
from kerasgen import Classifier
from kerasgen.errors import InputError
from tests.model_case import assert_same, long_fit


def make(**arguments):
    return Classifier(**{"shape": (8, 8, 1), "num_classes": 4, "backbone": "lenet", "width": 4} | arguments)


@pytest.fixture(scope="module", params=["lenet", "resnet"])
def classifier(request, squares):
    keras.utils.set_random_seed(0)
    model = make(backbone=request.param, dropout=0.1, max_shift=1, label_smoothing=0.05)
    model.compile(keras.optimizers.Adam(5e-3))
    long_fit(model, *squares, 40)
    return model


def test_learns(images, classifier):
    (x, y), model = images, classifier
    found = model.evaluate(x, y, verbose=0, return_dict=True)
    assert found["accuracy"] > 0.9
    assert found["loss"] < 0.5
    probabilities = model.classify(x)
    assert probabilities.shape == (32, 4)
    assert_same(probabilities.sum(axis=1), np.ones(32))
    assert (probabilities.argmax(axis=1) == y).mean() == pytest.approx(found["accuracy"])
    expected = -np.log(probabilities[np.arange(32), y]).mean()
    assert found["loss"] == pytest.approx(expected, rel=1e-3)
    features = model.features(x / np.float32(255.0), batch_size=7)
    assert features.shape == (32, model.num_features) == (32, 16)
    kernel, bias = (ops.convert_to_numpy(v) for v in model.logits.variables)
    logits = ops.convert_to_numpy(model(ops.convert_to_tensor(x / np.float32(255.0))))
    assert_same(features @ kernel + bias, logits, 1e-3)


def test_attributes(images):
    """Top half and left half, which do not exclude each other."""
    x, y = images
    attributes = np.stack([y < 2, y % 2 == 0], axis=1)
    model = make(num_classes=2, attributes=True)
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(np.tile(x, (75, 1, 1, 1)), np.tile(attributes, (75, 1)), batch_size=32, verbose=0)
    found = model.evaluate(x, attributes, verbose=0, return_dict=True)
    assert found["accuracy"] > 0.9
    p = model.classify(x)
    assert ((p > 0.5) == attributes).mean() == pytest.approx(found["accuracy"])
    expected = -np.log(np.where(attributes, p, 1 - p)).mean()
    assert found["loss"] == pytest.approx(expected, rel=1e-3)
    for bad in (y, attributes[:, :1], attributes + 1, attributes.astype(float), None):
        with pytest.raises(InputError, match="attributes"):
            model.fit(x, bad, verbose=0)


def test_shift_moves_whole_images(images):
    x = ops.convert_to_tensor(images[0][:8] / np.float32(255.0))
    model = make(max_shift=2)
    shifted = ops.convert_to_numpy(model.shift(x))
    found = []
    for one, moved in zip(ops.convert_to_numpy(x), shifted, strict=True):
        padded = np.pad(one, ((2, 2), (2, 2), (0, 0)), mode="edge")
        places = [(i, j) for i in range(5) for j in range(5) if np.allclose(padded[i : i + 8, j : j + 8], moved)]
        assert len(places) == 1
        found += places
    assert len(set(found)) > 3


@pytest.mark.parametrize("form", ["model.keras", "folder"])
def test_saving(images, classifier, form, tmp_path):
    (x, _), model = images, classifier
    model.save(tmp_path / form)
    again = keras.saving.load_model(tmp_path / form)
    assert_same(again.classify(x), model.classify(x))
    assert [v.path for v in again.variables] == [v.path for v in model.variables]
    assert json.loads(json.dumps(again.get_config())) == json.loads(json.dumps(model.get_config()))
    if form == "folder":
        assert_same(kerasgen.load(tmp_path / form).features(x), model.features(x))


def test_own_backbone(images):
    x, y = images
    backbone = keras.Sequential([layers.Flatten(), layers.Dense(7, "relu")])
    model = make(backbone=backbone)
    model.compile()
    model.fit(x, y, verbose=0)
    assert model.features(x).shape == (32, 7)
    again = Classifier.from_config(model.get_config())
    again.set_weights(model.get_weights())
    assert_same(again.classify(x), model.classify(x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backbone": "vgg"}, "resnet"),
        ({"backbone": keras.Sequential([layers.Conv2D(3, 3)])}, "outputs of shape"),
        ({"num_classes": 0}, "num_classes"),
        ({"width": 0}, "width"),
        ({"dropout": 1.0}, "dropout"),
        ({"label_smoothing": -0.1}, "label_smoothing"),
        ({"max_shift": -1}, "max_shift"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        make(**arguments)


def test_bad_data(images):
    x, y = images
    model = make()
    model.compile()
    with pytest.raises(InputError, match="needs labels"):
        model.fit(x, verbose=0)
    with pytest.raises(InputError, match="takes"):
        model.classify(x[:, :4])
    with pytest.raises(InputError, match="its loss is its own"):
        model.compile(loss="mse")
    with pytest.raises(InputError, match="4 classes"):
        model.fit(x, y + 1, verbose=0)
