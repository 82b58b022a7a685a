"""Metrics against closed forms, other packages and known answers, on features made here."""

import math
import re

import numpy as np
import pytest
from scipy import linalg, stats

from kerasgen.errors import InputError
from kerasgen.metrics import (
    Moments,
    density_and_coverage,
    frechet_distance,
    inception_score,
    kernel_distance,
    memorised,
    ms_ssim,
    path_lengths,
    precision_and_recall,
    psnr,
    ssim,
)
from kerasgen.metrics.bootstrap import standard_error
from kerasgen.metrics.frechet import weighted_moments
from kerasgen.metrics.neighbours import nearest
from kerasgen.metrics.similarity import mean_squared_error


def features(num, dim, seed, shift=0.0):
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(dim, dim)) / math.sqrt(dim)
    return (rng.normal(size=(num, dim)) @ mix + shift).astype(np.float32)


# Fréchet distance


def test_frechet_distance_of_gaussians_that_commute():
    """Σ_i (μ_i - ν_i)² + (σ_i - τ_i)², in any basis."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(9, 9)))[0]
    means, scales = rng.normal(size=(2, 9)), rng.uniform(0.0, 2.0, (2, 9))
    scales[0, 3] = 0.0
    covariances = [(basis * scale**2) @ basis.T for scale in scales]
    expected = np.square(means[0] - means[1]).sum() + np.square(scales[0] - scales[1]).sum()
    assert frechet_distance(means[0], covariances[0], means[1], covariances[1]) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("num", "dim"), [(500, 20), (30, 64)])
def test_frechet_distance_against_sqrtm(num, dim):
    """Also with fewer samples than dimensions."""
    a, b = features(num, dim, 0), features(num + 7, dim, 1, 0.3)
    (mean_a, cov_a), (mean_b, cov_b) = (
        (x.mean(axis=0, dtype=np.float64), np.cov(x.astype(np.float64), rowvar=False)) for x in (a, b)
    )
    trace = np.trace(linalg.sqrtm(cov_a @ cov_b)).real
    expected = np.square(mean_a - mean_b).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * trace
    assert frechet_distance(mean_a, cov_a, mean_b, cov_b) == pytest.approx(expected, rel=1e-6)
    assert abs(frechet_distance(mean_a, cov_a, mean_a, cov_a)) < 1e-9


def test_moments_of_a_stream():
    x = features(1000, 12, 0, shift=50.0)
    moments = Moments()
    for start, stop in ((0, 1), (1, 400), (400, 1000)):
        moments.update(x[start:stop])
    expected = x.mean(axis=0, dtype=np.float64), np.cov(x.astype(np.float64), rowvar=False)
    for found in (moments.result(), weighted_moments(x.astype(np.float64), np.ones(1000))):
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-12)
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-9, atol=1e-12)
    counts = np.arange(1000) % 3
    again = weighted_moments(x.astype(np.float64), counts.astype(np.float64))
    np.testing.assert_allclose(again[1], np.cov(x.astype(np.float64).repeat(counts, axis=0), rowvar=False), atol=1e-9)


# Kernel distance


def test_kernel_distance_is_the_u_statistic():
    x, y = features(40, 6, 0).astype(np.float64), features(31, 6, 1).astype(np.float64)

    def estimate(x, y):
        def k(a, b):
            return (a @ b / 6 + 1) ** 3

        def within(z):
            return np.mean([k(a, b) for i, a in enumerate(z) for j, b in enumerate(z) if i != j])

        return within(x) + within(y) - 2 * np.mean([k(a, b) for a in x for b in y])

    value, error = kernel_distance(x, y)
    assert value == pytest.approx(estimate(x, y), rel=1e-9)
    without_x = [estimate(np.delete(x, i, axis=0), y) for i in range(40)]
    without_y = [estimate(x, np.delete(y, i, axis=0)) for i in range(31)]
    assert error == pytest.approx(math.sqrt(39 * np.var(without_x) + 30 * np.var(without_y)), rel=1e-6)


def test_kernel_distance_is_unbiased_and_its_error_is_right():
    """Over 300 pairs of sets of one distribution: mean 0; of two: spread as the standard error says."""
    same = [kernel_distance(*np.random.default_rng(s).normal(size=(2, 40, 4)))[0] for s in range(300)]
    assert abs(np.mean(same)) < 3 * np.std(same) / math.sqrt(300)
    pairs = [np.random.default_rng(s).normal(size=(2, 80, 4)) for s in range(300)]
    found = np.array([kernel_distance(x, y + 0.8) for x, y in pairs])
    assert found[:, 1].mean() == pytest.approx(found[:, 0].std(), rel=0.2)


# Neighbours


def test_precision_and_recall_in_one_dimension():
    real, fake = np.array([[0.0], [1.0], [2.0], [10.0]]), np.array([[0.5], [1.5], [5.0], [30.0]])
    # Nearest neighbours of real are at 1, 1, 1, 8; of fake at 1, 1, 3.5, 25.
    precise, recalled = precision_and_recall(real, fake, k=1)
    np.testing.assert_array_equal(precise, [True, True, True, False])
    np.testing.assert_array_equal(recalled, [True, True, True, True])
    density, coverage = density_and_coverage(real, fake, k=1)
    np.testing.assert_array_equal(density, [2, 2, 1, 0])
    np.testing.assert_array_equal(coverage, [True, True, True, True])


def test_same_as_prdc():
    prdc = pytest.importorskip("prdc")
    real, fake = features(700, 16, 0), features(650, 16, 1, 0.2)
    expected = prdc.compute_prdc(real, fake, nearest_k=5)
    found = [values.mean() for values in (*precision_and_recall(real, fake, 5), *density_and_coverage(real, fake, 5))]
    np.testing.assert_allclose(found, [expected[k] for k in ("precision", "recall", "density", "coverage")], rtol=1e-6)


def test_directions():
    """Missing a mode costs recall, not precision; too wide a spread costs precision; both cost distance."""
    rng = np.random.default_rng(0)
    modes = rng.normal(size=(4, 8)) * 6
    real, again = (modes[np.arange(600) % 4] + rng.normal(size=(600, 8)) for _ in range(2))
    dropped = modes[np.arange(600) % 3] + rng.normal(size=(600, 8))
    wide = modes[np.arange(600) % 4] + 3.0 * rng.normal(size=(600, 8))

    def figures(fake):
        precise, recalled = precision_and_recall(real, fake)
        distance = frechet_distance(*weighted_moments(real, np.ones(600)), *weighted_moments(fake, np.ones(600)))
        return precise.mean(), recalled.mean(), distance, kernel_distance(real / 6, fake / 6)[0]

    floor, fewer, wider = figures(again), figures(dropped), figures(wide)
    assert fewer[0] > floor[0] - 0.05
    assert fewer[1] < floor[1] - 0.15
    assert wider[0] < floor[0] - 0.3
    assert min(fewer[2], wider[2]) > 5 * floor[2]
    assert fewer[3] > 5 * abs(floor[3])


def test_memorisation():
    """Replayed training images, even with noise, are found; new ones, and smooth ones, are not."""
    rng = np.random.default_rng(0)
    prototypes = rng.normal(size=(40, 30))

    def draw(num, spread=1.0):
        return prototypes[rng.integers(40, size=num)] + spread * rng.normal(size=(num, 30))

    training, held_out = draw(2000), draw(500)
    assert memorised(draw(500), training, held_out).mean() < 0.05
    assert memorised(draw(500, 0.5), training, held_out).mean() < 0.05
    replayed = training[:500] + 0.1 * rng.normal(size=(500, 30))
    assert memorised(replayed, training, held_out).mean() > 0.99
    index, ratio = nearest(replayed, training)
    np.testing.assert_array_equal(index, np.arange(500))
    assert ratio.max() < 0.5


# Scores


def test_inception_score():
    assert inception_score(np.eye(10)) == pytest.approx(10.0)
    assert inception_score(np.full((7, 10), 0.1)) == pytest.approx(1.0)
    p = np.random.default_rng(0).dirichlet(np.ones(5), size=200)
    expected = np.exp(np.mean([stats.entropy(row, p.mean(axis=0)) for row in p]))
    assert inception_score(p) == pytest.approx(expected, rel=1e-9)
    weights = np.arange(200) % 3
    assert inception_score(p, weights.astype(float)) == pytest.approx(inception_score(p.repeat(weights, axis=0)))


def test_bootstrap_of_a_mean():
    x = np.random.default_rng(0).normal(size=400)
    error = standard_error(lambda w: (w * x).sum() / w.sum(), (400,), 2000)
    assert error == pytest.approx(x.std() / 20, rel=0.1)


# Images


def test_similarity():
    rng = np.random.default_rng(0)
    a = rng.uniform(0.0, 0.9, size=(3, 32, 28, 1)).astype(np.float32)
    b = np.clip(a + 0.1 * rng.normal(size=a.shape), 0, 1).astype(np.float32)
    np.testing.assert_allclose(psnr(a, a + 0.1), 20.0, rtol=1e-5)
    assert np.isinf(psnr(a, a)).all()
    np.testing.assert_allclose(ssim(a, a), 1.0)
    np.testing.assert_allclose(ms_ssim(a, a), 1.0, rtol=1e-6)
    assert (ssim(a, b) < 0.999).all()
    # Of constant images only the luminance term is left: (2 μν + C1) / (μ² + ν² + C1).
    dark, light = np.full((1, 16, 16, 1), 0.2, np.float32), np.full((1, 16, 16, 1), 0.6, np.float32)
    np.testing.assert_allclose(ssim(dark, light), (2 * 0.12 + 1e-4) / (0.4 + 1e-4), rtol=1e-3)


def test_path_length_of_a_linear_decoder():
    """For G(z) = z and f linear, the length is |f(dz/dt)|²; on a great circle |dz/dt| = angle x radius."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(2000, 50))
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    lengths = path_lengths(lambda z: z, lambda x: 3.0 * x, lambda start, stop: z[start:stop], 1000, epsilon=1e-3)
    angles = np.arccos((z[:1000] * z[1000:]).sum(axis=1))
    np.testing.assert_allclose(lengths, 9.0 * angles**2, rtol=0.02)


def test_path_length_of_a_linear_decoder_of_normal_latents():
    """Its radius changes too: |dz/dt|^2 = (radius x angle)^2 + (difference of the radii)^2."""
    z = np.random.default_rng(0).normal(size=(2000, 8))
    seen = []
    lengths = path_lengths(
        lambda z: seen.append(z) or z, lambda x: 3.0 * x, lambda start, stop: z[start:stop], 1000, epsilon=1e-4
    )
    radius = np.linalg.norm(seen[0], axis=1)
    first, second = np.linalg.norm(z[:1000], axis=1), np.linalg.norm(z[1000:], axis=1)
    angles = np.arccos((z[:1000] * z[1000:]).sum(axis=1) / first / second)
    np.testing.assert_allclose(lengths, 9.0 * ((radius * angles) ** 2 + (second - first) ** 2), rtol=0.05)
    places = (radius - first) / (second - first)  # anywhere on the path
    assert places.min() < 0.02
    assert places.max() > 0.98


# What they are handed


ROWS, PROBABILITIES = features(20, 4, 0), np.full((5, 4), 0.25)
PICTURES = np.random.default_rng(0).integers(0, 256, (3, 24, 20, 1), dtype=np.uint8)


def spoiled(x, value=np.nan):
    x = np.array(x, np.float64)
    x.flat[5] = value
    return x


BAD_ROWS = {
    "nan": (spoiled(ROWS), "NaN or infinite values, the first in row 1, in 1 of 20"),
    "infinite": (spoiled(ROWS, np.inf), "NaN or infinite"),
    "one": (ROWS[:1], "have 1 rows; this takes at least"),
    "none": (ROWS[:0], r"shape \[0, 4\]"),
    "no features": (ROWS[:, :0], r"shape \[20, 0\]"),
    "one axis": (ROWS[0], r"shape \[4\]; expected \[N, F\]"),
    "three axes": (ROWS[None], "shape"),
    "strings": (np.array([["a"] * 4] * 20), "dtype"),
    "objects": (np.array([[None] * 4] * 20), "dtype"),
    "ragged": ([[1.0, 2.0], [1.0]], "unequal shapes"),
    "text": ("rows", "is a str"),
    "narrow": (ROWS[:, :3], "features wide"),
}
OF_SETS = {
    "kernel": kernel_distance,
    "precision": precision_and_recall,
    "density": density_and_coverage,
    "memorised": lambda x, y: memorised(y, x, y),
    "frechet": lambda x, y: frechet_distance(*Moments().update(x).result(), *Moments().update(y).result()),
    "weighted": lambda x, y: frechet_distance(
        *weighted_moments(x, np.ones(len(x))), *weighted_moments(y, np.ones(len(y)))
    ),
}


@pytest.mark.parametrize("bad", BAD_ROWS)
@pytest.mark.parametrize("name", OF_SETS)
def test_rows_that_are_refused(name, bad):
    """On either side, with one error of ours; not "SVD did not converge"."""
    measure, (rows, message) = OF_SETS[name], BAD_ROWS[bad]
    measure(ROWS, ROWS[::-1])  # these it takes
    with pytest.raises(InputError, match="more than once|takes at least|times in all" if bad == "one" else message):
        measure(rows, ROWS)
    if (name, bad) not in (("density", "one"), ("memorised", "one")):  # of one sample there is a density
        with pytest.raises(InputError):
            measure(ROWS, rows)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Moments().result(), "had 0 rows"),
        (lambda: Moments().update(ROWS).update(ROWS[:, :2]), "2 features wide, the others 4"),
        (lambda: frechet_distance([0.0], [[1.0]], [0.0, 0.0], np.eye(2)), "1 and 2 features wide"),
        (lambda: frechet_distance([0.0, 0.0], np.ones(2), [0.0, 0.0], np.eye(2)), r"expected \[2, 2\]"),
        (lambda: frechet_distance([0.0, 0.0], [[1, 5], [0, 1]], [0.0, 0.0], np.eye(2)), "not symmetric"),
        (lambda: frechet_distance([0.0, 0.0], -np.eye(2), [0.0, 0.0], np.eye(2)), "negative variance"),
        (lambda: frechet_distance([0.0, np.nan], np.eye(2), [0.0, 0.0], np.eye(2)), "means have NaN"),
        (lambda: weighted_moments(ROWS, np.ones(19)), r"weights have shape \[19\]; expected \[20\]"),
        (lambda: weighted_moments(ROWS, -np.ones(20)), "negative"),
        (lambda: weighted_moments(ROWS, np.zeros(20)), "all zero"),
        (lambda: weighted_moments(ROWS, np.eye(20)[0]), "count 1 times in all"),
        (lambda: kernel_distance(ROWS[:2], ROWS), "have 2 rows; this takes at least 3"),
        (lambda: precision_and_recall(ROWS, ROWS, k=20), "at least 21"),
        (lambda: precision_and_recall(ROWS, ROWS, k=0), "k is 0"),
        (lambda: density_and_coverage(ROWS[:5], ROWS), "at least 6"),
        (lambda: nearest(ROWS, ROWS, k=1), "k is 1"),
        (lambda: memorised(ROWS, ROWS, ROWS, quantile=1.5), "quantile"),
        (lambda: inception_score(np.ones((5, 4))), "sums of rows from 4 to 4"),
        (lambda: inception_score(np.log(PROBABILITIES)), "none negative"),
        (lambda: inception_score(spoiled(PROBABILITIES)), "NaN"),
        (lambda: inception_score(PROBABILITIES[0]), r"expected \[N, K\]"),
        (lambda: inception_score(PROBABILITIES[:0]), "shape"),
        (lambda: inception_score(PROBABILITIES, np.ones(4)), "weights"),
        (lambda: standard_error(lambda w: w.mean(), (0,), 10), "size of a set"),
        (lambda: standard_error(lambda w: w.mean(), (5,), 1), "replicates"),
        (lambda: path_lengths(lambda z: z, lambda x: x, lambda *_: ROWS, 11), "have 20 rows; this takes at least 22"),
        (lambda: path_lengths(lambda z: z, lambda x: x, lambda *_: ROWS, 10, epsilon=0.0), "epsilon"),
        (lambda: path_lengths(lambda z: z, lambda x: np.nan * x, lambda *_: ROWS, 10), "features have NaN"),
        (lambda: path_lengths(lambda z: z, lambda x: x[..., None], lambda *_: ROWS, 10), r"expected \[N, F\]"),
    ],
)
def test_what_else_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize("measure", [mean_squared_error, psnr, ssim, ms_ssim])
def test_images_that_are_refused(measure):
    """uint8 and floats in [0, 1] are the same images; whatever has no meaning as such is refused."""
    a, b = PICTURES, PICTURES[::-1]
    expected = measure(a / np.float32(255.0), b / np.float32(255.0))
    np.testing.assert_allclose(measure(a, b), expected, rtol=1e-5)
    np.testing.assert_allclose(measure(a, b / np.float32(255.0)), expected, rtol=1e-5)
    for bad, message in [
        (a.astype(np.float32), "range over"),
        (2.0 * (a / 255.0) - 1.0, "range over"),
        (spoiled(a / 255.0), "NaN"),
        (a.astype(np.int64), "dtype int64"),
        (a[:2], "both the same"),
        (a[..., 0], "both the same"),
        (a[:0], "both the same"),
        (np.repeat(a, 3, axis=-1), "both the same"),
    ]:
        with pytest.raises(InputError, match=message):
            measure(a, bad)
    if measure in (ssim, ms_ssim):
        with pytest.raises(InputError, match=re.escape("sides of at least 11")):
            measure(a[:, :10], b[:, :10])
