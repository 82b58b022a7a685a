"""Settings of classifiers, on logits set by hand."""

import keras
import numpy as np
import pytest

from kerasgen import Classifier


@pytest.mark.parametrize("attributes", [False, True])
def test_labels_are_smoothed_in_training_alone(attributes):
    model = Classifier((8, 8, 1), 4, attributes=attributes, backbone="lenet", width=4, label_smoothing=0.2)
    logits = np.array([2.0, -1.0, 0.5, 0.0])
    model.logits.kernel.assign(np.zeros(model.logits.kernel.shape))
    model.logits.bias.assign(logits)
    model.compile(keras.optimizers.SGD(0.0))
    x = np.zeros((4, 8, 8, 1), np.float32)
    told = np.eye(4)[[0, 0, 0, 1]]  # not all alike: smoothing would not show in their mean
    if attributes:
        yes, no = -np.log1p(np.exp(-logits)), -np.log1p(np.exp(logits))
        smooth = 0.8 * told + 0.1
        costs = [-(t * yes + (1.0 - t) * no).mean() for t in (told, smooth)]
    else:
        log_p = logits - np.log(np.exp(logits).sum())
        costs = [-(t * log_p).sum() / 4.0 for t in (told, 0.8 * told + 0.05)]
    labels = told.astype(int) if attributes else told.argmax(axis=1)
    assert model.fit(x, labels, verbose=0).history["loss"][0] == pytest.approx(costs[1], rel=1e-5)
    assert model.evaluate(x, labels, verbose=0, return_dict=True)["loss"] == pytest.approx(costs[0], rel=1e-5)
