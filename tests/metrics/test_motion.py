"""Figures of how what is in videos moves, where the answer is known."""

import numpy as np
import pytest

import kerasgen
from kerasgen import data, metrics
from kerasgen.metrics.evaluation import Evaluation, evaluate
from kerasgen.metrics.motion import centroids, changes
from kerasgen.recipes import Evaluation as Settings


def dot(places, side=32):
    """A video `[1, T, side, side, 1]` of a dot at these rows and columns."""
    video = np.zeros((1, len(places), side, side, 1), np.uint8)
    for frame, (row, column) in zip(video[0], places, strict=True):
        frame[row, column] = 200
    return video


def test_a_dot_that_is_reflected_has_no_acceleration_between():
    way = np.abs(np.arange(-9, 11)) * 2  # to the edge and back
    video = dot([(place, 5) for place in way])
    np.testing.assert_allclose(centroids(video)[0], np.stack([way, np.full(20, 5)], axis=1), atol=1e-6)
    speed, acceleration = changes(video)
    assert (speed[0], acceleration[0]) == (pytest.approx(2.0), pytest.approx(0.0, abs=1e-6))
    rng = np.random.default_rng(0)
    lost = dot(rng.integers(0, 32, (20, 2)))  # nowhere twice
    assert changes(lost)[1] > 10
    np.testing.assert_allclose(centroids(np.zeros((1, 2, 9, 5, 1))), [[[4.0, 2.0]] * 2])  # a black frame's middle


def test_two_that_bounce_are_steadier_than_shuffled_frames():
    videos, _ = data.load_moving_arrays(np.full((30, 4, 4, 1), 255, np.uint8), side=64, frames=20)
    _, steady = changes(videos)
    shuffled = np.random.default_rng(0).permuted(videos, axis=1)
    assert steady.mean() < 1.0 < 5.0 < changes(shuffled)[1].mean()


class Sides:
    """An extractor of frames: the brightness of both halves, and whether each is bright."""

    name, sha256 = "sides", "0" * 64

    def __init__(self, num_classes=None):
        self.num_classes = num_classes

    def check_shape(self, shape):
        assert shape == (8, 8, 1)

    def extract(self, images, batch_size=250, verbose="auto"):
        halves = images.reshape(-1, 8, 2, 4).mean(axis=(1, 3)) / 255.0
        return halves.astype(np.float32), (halves > 0.5).astype(np.float32)


class Given(kerasgen.FlowMatching):
    """A model whose samples are given."""

    def sample(self, num_samples, **_):
        return self.given_samples[:num_samples]


@pytest.fixture
def run():
    def make(samples, real):
        model = Given((4, 8, 8, 1), network={"class": "VideoDiT", "width": 8, "depth": 2, "heads": 2, "patch": 4})
        model.given_samples = samples.astype(np.float32) / 255.0
        settings = Settings(split="test", num_samples=len(samples))
        return Evaluation(model, real, None, "test", settings=settings, extractor=Sides(), verbose=0)

    return make


def halves(sides):
    """Videos whose frames are bright on these sides `[N, T, 2]`."""
    return np.repeat(np.repeat(np.asarray(sides, np.uint8)[:, :, None] * 255, 8, axis=2), 4, axis=3)[..., None]


def test_figures_of_frames(run):
    rng = np.random.default_rng(0)
    real = rng.integers(0, 256, (12, 4, 8, 8, 1), dtype=np.uint8)
    samples = rng.integers(0, 256, (11, 4, 8, 8, 1), dtype=np.uint8)
    found = evaluate(run(samples, real), ["frechet_distance", "motion"])["metrics"]
    features = [Sides().extract(x.reshape(-1, 8, 8, 1))[0].astype(np.float64) for x in (real, samples)]
    moments = [part for x in features for part in metrics.Moments().update(x).result()]
    distance = found["frechet_distance_of_frames/sides"]
    assert distance["value"] == pytest.approx(metrics.frechet_distance(*moments), rel=1e-6)
    assert (distance["n_real"], distance["n_fake"], distance["of"]) == (12, 11, "videos")
    for name, index in (("centroid_speed", 0), ("centroid_acceleration", 1)):
        assert found[name]["value"] == pytest.approx(changes(samples)[index].mean())
        assert found[name]["real"] == pytest.approx(changes(real)[index].mean())


def test_content_that_is_kept(run):
    left, right, both = [1, 0], [0, 1], [1, 1]
    samples = halves([[left, both, both, left], [left, left, left, both], [right, left, left, right]] * 4)
    real = halves([[left, left, left, left], [left, left, left, right]] * 5)
    evaluation = run(samples, real)
    found = evaluate(evaluation, ["content_kept"])["metrics"]["content_kept/sides"]
    assert (found["value"], found["real"]) == (pytest.approx(2 / 3), 0.5)
    evaluation.extractor.num_classes = 2  # the first of the two that are bright
    found = evaluate(evaluation, ["content_kept"])["metrics"]["content_kept/sides"]
    assert (found["value"], found["real"]) == (1.0, 0.5)
