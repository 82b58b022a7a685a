import json
import math

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image
from scipy import stats
from sklearn import metrics as sklearn

from kerasgen import Autoencoder, FlowMatching, Glow, RealNVP, VariationalAutoencoder, metrics
from kerasgen.detectors.threshold import threshold_of
from kerasgen.errors import InputError
from kerasgen.metrics.anomaly import auroc_error, false_positive_rate


@pytest.mark.parametrize("ties", [False, True])
def test_figures_are_those_of_scikit_learn(ties):
    rng = np.random.default_rng(0)
    normal, anomalous = rng.normal(size=300), rng.normal(1.2, size=70)
    if ties:
        normal, anomalous = normal.round(1), anomalous.round(1)
    labels, scores = np.repeat([0, 1], [300, 70]), np.concatenate([normal, anomalous])
    assert metrics.auroc(normal, anomalous) == pytest.approx(sklearn.roc_auc_score(labels, scores))
    expected = sklearn.average_precision_score(labels, scores)
    assert metrics.average_precision(normal, anomalous) == pytest.approx(expected)
    fpr, tpr, _ = sklearn.roc_curve(labels, scores, drop_intermediate=False)
    assert false_positive_rate(normal, anomalous) == pytest.approx(fpr[np.argmax(tpr >= 0.95)])


def test_standard_error_is_the_spread_over_draws():
    rng = np.random.default_rng(0)
    draws = [(rng.normal(size=60), rng.normal(1.0, size=40)) for _ in range(400)]
    found = np.mean([auroc_error(*draw) for draw in draws])
    assert found == pytest.approx(np.std([metrics.auroc(*draw) for draw in draws]), rel=0.1)
    exact = stats.norm.cdf(1.0 / math.sqrt(2.0))
    assert np.mean([metrics.auroc(*draw) for draw in draws]) == pytest.approx(exact, abs=0.005)
    assert auroc_error([0.0], [1.0]) is None


def test_infinite_scores_are_the_strangest(tmp_path):
    normal, anomalous = np.array([0.0, 1.0, 2.0]), np.array([0.5, np.inf])
    assert metrics.auroc(normal, anomalous) == pytest.approx((1 + 3) / 6)
    report = metrics.AnomalyReport(normal, anomalous, 1.5, "any")
    report.save(tmp_path / "report.png")
    with pytest.raises(InputError, match="NaN"):
        metrics.auroc(normal, np.array([np.nan]))


def test_threshold_keeps_its_promise():
    """The share of new normal examples above it is at most the rate, over draws of both."""
    rng = np.random.default_rng(0)
    for num, rate in ((19, 0.05), (100, 0.1), (37, 0.2)):
        above = [(rng.exponential(size=200) > threshold_of(rng.exponential(size=num), rate)).mean() for _ in range(500)]
        assert rate - 1.0 / (num + 1) - 0.02 < np.mean(above) < rate + 0.01
    with pytest.raises(InputError, match="expected 19 or more"):
        threshold_of(np.zeros(18), 0.05)
    for rate in (0.0, 1.0, -0.1, "often"):
        with pytest.raises(InputError, match="false_positive_rate"):
            threshold_of(np.zeros(100), rate)


def test_report(images, tmp_path):
    x, _ = images
    model = Autoencoder((8, 8, 1), 3, width=8)
    report = metrics.anomaly_report(model, x, 255 - x, false_positive_rate=0.1)
    np.testing.assert_array_equal(report.normal, model.anomaly_score(x))
    found = report.to_dict()
    assert found["scorer"] == "reconstruction"
    assert found["auroc"] == metrics.auroc(report.normal, report.anomalous)
    assert found["false_positive_rate"] <= 0.1
    assert found["n_normal"] == found["n_anomalous"] == 32
    report.save(tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text()) == found
    report.save(tmp_path / "report.png")
    with Image.open(tmp_path / "report.png") as picture:
        assert picture.size == (960, 360)
        assert np.asarray(picture).std() > 10
    with pytest.raises(InputError, match=r"expected \.json or \.png"):
        report.save(tmp_path / "report.txt")


def test_scorers_of_families(images):
    """Each has its own way first; each gives finite scores of one shape."""
    x, _ = images
    vectors = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    autoencoder = Autoencoder((8, 8, 1), 3, width=8)
    mlp = {"class": "MLP", "width": 8}
    for model, given, names in [
        (autoencoder, x, ["reconstruction"]),
        (VariationalAutoencoder((8, 8, 1), 3, width=8), x, ["likelihood", "reconstruction", "complexity"]),
        (Glow((8, 8, 1), 1, 1, width=8), x, ["likelihood", "complexity"]),
        (RealNVP((6,), steps=1, width=8), vectors, ["likelihood"]),
        (FlowMatching((6,), network=mlp), vectors, ["likelihood", "denoising"]),
    ]:
        scorers = model.anomaly_scorers()
        assert list(scorers) == names
        np.testing.assert_array_equal(scorers[names[0]](given), model.anomaly_score(given))
        for score in scorers.values():
            found = score(given)
            assert found.shape == (len(given),)
            assert np.isfinite(found).all()
    with pytest.raises(InputError, match="expected one of"):
        metrics.anomaly_report(autoencoder, x, x, scorer="likelihood")


def test_complexity_is_the_size_of_a_png():
    model = Glow((8, 8, 3), 1, 1, width=8)
    rng = np.random.default_rng(0)
    x = np.stack([np.full((8, 8, 3), 100, np.uint8), rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)])
    scorers = model.anomaly_scorers()
    bits = scorers["likelihood"](x) / math.log(2.0) - scorers["complexity"](x)
    assert bits[1] > 8 * 192  # noise does not get smaller
    assert bits[0] < 8 * 100
    np.testing.assert_allclose(scorers["complexity"](x / np.float32(255.0)), scorers["complexity"](x), rtol=1e-4)


def test_denoising_error_of_what_the_network_knows():
    """A network that gives back x as x_0 errs by s^2 E[e^2], at each level s: the score is the mean of 1 + s^2."""

    @keras.saving.register_keras_serializable("tests")
    class Same(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.built = True

        def call(self, x, time, one_hot):
            s = ops.reshape(time / 1000.0, (-1, 1))
            return x / (1.0 - s)

    model = FlowMatching((50,), network=Same(name="network"), prediction="x0")
    x = np.random.default_rng(0).normal(size=(200, 50)).astype(np.float32)
    expected = np.mean([1.0 + s**2 for s in (0.25, 0.5, 1.0, 2.0)])
    assert model.denoising_error(x).mean() == pytest.approx(expected, rel=0.02)
    np.testing.assert_array_equal(model.denoising_error(x[:3], seed=1), model.denoising_error(x, seed=1)[:3])
