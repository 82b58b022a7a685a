"""Figures of what was asked for, on models and an extractor whose answers are set by hand."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasgen import CycleGAN, FlowMatching, recipes
from kerasgen.errors import InputError
from kerasgen.metrics import Evaluation, evaluate

SHAPE = (4, 4, 1)


class Corners:
    """Finds two attributes where the upper corners are bright; features are the same two values."""

    name, sha256, num_classes = "corners", "0" * 64, None

    def check_shape(self, shape):
        assert shape == SHAPE

    def extract(self, images, batch_size=250, verbose=0):
        found = images[:, 0, [0, 3], 0].astype(np.float32) / np.float32(255.0)
        return found, found


class Drawer(keras.layers.Layer):
    """The velocity to an image whose left half is the sign of the first attribute, and its right half white."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.one = self.add_weight(shape=(), initializer="ones", name="one")  # PyTorch asks for something to train
        self.built = True

    def call(self, x, time, one_hot=None, training=False):
        left = ops.reshape(one_hot[:, 0], (-1, 1, 1, 1)) * ops.convert_to_tensor(np.float32([[1], [1], [0], [0]]))
        image = left + ops.convert_to_tensor(np.float32([[0], [0], [1], [1]]))
        return self.one * (image - x) / ops.reshape(ops.maximum(time / 1000.0, 1e-6), (-1, 1, 1, 1))


def images_of(attributes):
    return np.repeat(255 * attributes.astype(np.uint8), 2, axis=1)[:, None, :, None].repeat(4, axis=1)


def run(model, images, labels, columns, **settings):
    how = {"settings": recipes.Evaluation(num_samples=100, sampling={"steps": 1})} if labels is not None else {}
    return Evaluation(model, images, labels, "test", extractor=Corners(), columns=columns, verbose=0, **how | settings)


def test_attributes_of_samples():
    """The first is always drawn as asked, the second one always: half of those asked for."""
    model = FlowMatching(SHAPE, network=Drawer(), attributes=["left", "right"])
    labels = np.stack(np.meshgrid([0, 1], [0, 1]), axis=-1).reshape(4, 2).repeat(10, axis=0)
    found = evaluate(run(model, images_of(labels), labels, [0, 1]), ["attribute_accuracy"])["metrics"]
    figure = found["attribute_accuracy/corners"]
    assert figure["value"] == 0.75
    assert figure["real"] == 1.0
    assert figure["by_attribute"] == {"left": [1.0, 1.0], "right": [1.0, 0.0]}
    swapped = evaluate(run(model, images_of(labels), labels, [1, 0]), ["attribute_accuracy"])["metrics"]
    assert swapped["attribute_accuracy/corners"]["real"] == 0.5  # the columns are those of the extractor
    for columns, labelled in ((None, labels), ([0, 1], None)):
        with pytest.raises(InputError, match="needs images with attributes"):
            evaluate(run(model, images_of(labels), labelled, columns), ["attribute_accuracy"])
    measured = evaluate(run(model, images_of(labels), labels, [0, 1]))["metrics"]
    assert "attribute_accuracy/corners" in measured
    assert "inception_score/corners" not in measured


class Mirror(keras.layers.Layer):
    """The image from right to left, or as it is."""

    def __init__(self, mirrors, **kwargs):
        super().__init__(**kwargs)
        self.mirrors = mirrors
        self.one = self.add_weight(shape=(), initializer="ones", name="one")
        self.built = True

    def call(self, x):
        return self.one * (ops.flip(x, axis=2) if self.mirrors else x)


def test_translations():
    """There an image is mirrored, back it stays: its left corner is found there and not back."""
    judge = [
        keras.Sequential(
            [keras.Input(SHAPE), keras.layers.Conv2D(1, 1, data_format="channels_last"), keras.layers.Reshape((4, 4))]
        )
        for _ in range(2)
    ]
    model = CycleGAN(SHAPE, [Mirror(True), Mirror(False)], judge)
    given, real = (images_of(np.tile(row, (20, 1))) for row in (np.array([0, 1]), np.array([1, 0])))
    given[:5] = 0
    how = {"given": given, "settings": recipes.Evaluation(num_samples=100)}
    figures = evaluate(run(model, real, None, [0], **how), ["translation", "identity"])["metrics"]
    figure = figures["translation/corners"]
    assert (figure["value"], figure["before"], figure["back"], figure["real"]) == (0.75, 0.0, 1.0, 1.0)
    # 15 of 20 move by the root of 2, and neighbours differ, by 1, at two places of 20.
    assert figures["identity/corners"]["value"] == pytest.approx(0.75 * np.sqrt(2.0) / 0.1)
    with pytest.raises(InputError, match="translation needs the extractor's attribute"):
        evaluate(run(model, real, None, None, **how), ["translation"])
