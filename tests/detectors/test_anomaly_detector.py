import keras
import numpy as np
import pytest

import kerasgen
from kerasgen import AnomalyDetector, Autoencoder, FlowMatching, RealNVP, VariationalAutoencoder, metrics
from kerasgen.errors import InputError

SCALES = np.array([1.0, 10.0, 100.0, 0.1, 1.0, 0.0])
PLACES = np.array([0.0, 5.0, 1000.0, 0.0, -3.0, 7.0])  # the last column is constant


def table(num, seed=0, stretch=1.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(num, 6)) * stretch
    x[:, 1] += x[:, 0]
    return (x * SCALES + PLACES).astype(np.float32)


def make(**arguments):
    settings = {"model": RealNVP((6,), steps=2, width=8), "noise_stddev": 0.1}
    return AnomalyDetector(**settings | arguments)


@pytest.fixture(scope="module")
def detector():
    keras.utils.set_random_seed(0)
    detector = make(false_positive_rate=0.1)
    detector.compile(keras.optimizers.Adam(3e-3))
    detector.fit(table(500), batch_size=50, epochs=10, verbose=0)
    detector.calibrate(table(200, 1))
    return detector


def test_detects_rows_of_any_scale(detector):
    """Rows three times as far out as usual, in columns of six scales, one of them constant."""
    normal, strange = table(300, 2), table(300, 3, stretch=3.0)
    report = metrics.anomaly_report(detector, normal, strange)
    assert report.to_dict()["auroc"] > 0.95
    assert report.threshold == detector.anomaly_threshold
    assert detector.detect(normal).mean() == pytest.approx(0.1, abs=0.06)
    assert detector.detect(strange).mean() > 0.8
    np.testing.assert_array_equal(detector.detect(strange), detector.anomaly_score(strange) > report.threshold)


def test_scores_are_those_of_the_model_inside(detector):
    x = table(20, 4)
    mean, stddev = (keras.ops.convert_to_numpy(w) for w in (detector.column_mean, detector.column_stddev))
    some = table(500)
    np.testing.assert_allclose(mean, some.mean(axis=0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(stddev[:5], some.std(axis=0)[:5], rtol=1e-4)
    assert stddev[5] == 1.0
    expected = detector.model.anomaly_score((x - mean) / stddev)
    np.testing.assert_allclose(detector.anomaly_score(x), expected, rtol=1e-4)


def test_threshold_is_saved_and_loaded(detector, tmp_path):
    detector.save(tmp_path / "detector")
    again = kerasgen.load(str(tmp_path / "detector"))
    x = table(50, 5, stretch=2.0)
    assert again.anomaly_threshold == detector.anomaly_threshold
    np.testing.assert_array_equal(again.detect(x), detector.detect(x))
    assert again.get_config() == detector.get_config()


def test_training_takes_the_threshold_away():
    detector = make()
    detector.compile()
    x = table(100)
    with pytest.raises(InputError, match="call fit first"):
        detector.anomaly_score(x)
    detector.fit(x, verbose=0)
    with pytest.raises(InputError, match="call calibrate"):
        detector.detect(x)
    detector.calibrate(x)
    detector.evaluate(x, verbose=0)
    assert detector.detect(x).mean() <= 0.05
    detector.train_on_batch(x)
    assert detector.anomaly_threshold is None


def test_models_of_images(images):
    x, _ = images
    model = VariationalAutoencoder((8, 8, 1), 2, width=8, kl_warmup_steps=4)
    detector = AnomalyDetector(model, scorer="reconstruction", false_positive_rate=0.1)
    detector.compile()
    detector.fit(x, epochs=2, verbose=0)
    detector.calibrate(x)
    assert list(detector.anomaly_scorers()) == ["reconstruction"]
    np.testing.assert_array_equal(detector.anomaly_score(x), model.reconstruction_error(x))


def test_columns_that_float32_cannot_hold():
    x = table(100).astype(np.float64)
    x[:, 0] += 1e9
    detector = make()
    detector.compile()
    with pytest.raises(InputError, match=r"equal in float32.*column 0"):
        detector.fit(x, verbose=0)


def test_the_model_inside_trains_alone_again(images):
    x, _ = images
    model = VariationalAutoencoder((8, 8, 1), 2, width=8, kl_warmup_steps=10)
    detector = AnomalyDetector(model)
    for trained in (model, detector, model):
        trained.compile()
        before = model.get_weights()
        trained.fit(x, verbose=0)
        assert any(np.abs(a - b).max() > 0 for a, b in zip(before, model.get_weights(), strict=True))
        assert int(model.steps_trained) == 1


@pytest.mark.parametrize("epochs", [1, 3])
def test_trains_as_the_model_alone(epochs):
    """Without noise, on rows that are standardized already, to the same weights."""
    x = table(64)[:, :5]
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    weights = []
    for wrap in (lambda model: model, AnomalyDetector):
        keras.utils.set_random_seed(0)
        model = Autoencoder((5,), 2, width=8, num_components=0)
        wrapped = wrap(model)
        wrapped.compile(keras.optimizers.SGD(0.01))
        wrapped.fit(x, batch_size=16, epochs=epochs, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_wrong_arguments(detector):
    for arguments, message in [
        ({"model": "realnvp"}, "the name 'realnvp'"),
        ({"model": keras.layers.Dense(2)}, "expected one with anomaly_score"),
        ({"model": FlowMatching((6,), num_classes=2)}, "without labels"),
        ({"scorer": "reconstruction"}, "expected one of"),
        ({"false_positive_rate": 0.0}, "between 0 and 1"),
        ({"noise_stddev": -1.0}, "noise_stddev"),
        ({"column_names": ["a", "b"]}, "the rows have 6 columns"),
        ({"model": Autoencoder((8, 8, 1), 2, width=8)}, "for tables"),
    ]:
        with pytest.raises(InputError, match=message):
            make(**arguments)
    for x, message in [(table(5)[:, :3], "shape"), (np.full((2, 6), np.nan), "not finite")]:
        with pytest.raises(InputError, match=message):
            detector.anomaly_score(x)
    with pytest.raises(InputError, match="expected 9 or more"):
        detector.calibrate(table(5))
