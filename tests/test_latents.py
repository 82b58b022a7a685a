import numpy as np
import pytest

from kerasgen import Autoencoder, FlowMatching, RealNVP, latents
from kerasgen.errors import InputError
from tests.model_case import long_fit


def correlated(num=4000):
    """z with an attribute that shifts the first axis, which most who have it share with a wide second one."""
    rng = np.random.default_rng(0)
    has = rng.random(num) < 0.4
    z = rng.normal(size=(num, 5)) * [0.3, 3.0, 1.0, 1.0, 1.0]
    z[has] += [2.0, 1.0, 0.0, 0.0, 0.0]
    return z.astype(np.float32), has


def test_direction_leaves_out_what_only_goes_along():
    z, has = correlated()
    found = latents.direction(z, has)
    difference = z[has].mean(axis=0) - z[~has].mean(axis=0)
    assert difference[1] == pytest.approx(1.0, abs=0.3)
    assert found[0] == pytest.approx(2.0, abs=0.1)
    assert np.abs(found[1:]).max() < 0.15
    w = found / np.linalg.norm(found)
    moved = (z[~has] + found) @ w
    assert moved.mean() == pytest.approx((z[has] @ w).mean(), abs=0.05)


def test_direction_of_more_latents_than_examples():
    """The same as by the whole covariance."""
    rng = np.random.default_rng(0)
    z, has = rng.normal(size=(20, 50)), np.arange(20) % 3 == 0
    found = latents.direction(z, has)
    parts = [z[has] - z[has].mean(axis=0), z[~has] - z[~has].mean(axis=0)]
    within = np.concatenate(parts)
    covariance = within.T @ within / 20 + 1e-2 * np.square(within).mean() * np.eye(50)
    difference = z[has].mean(axis=0) - z[~has].mean(axis=0)
    w = np.linalg.solve(covariance, difference)
    np.testing.assert_allclose(found, w * (difference @ w) / (w @ w), rtol=1e-3, atol=1e-5)


def test_walks_and_sums():
    """Of a flow, which is a bijection, in closed form: decode is the inverse of encode."""
    model = RealNVP((3,), steps=1, width=8)
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    model.compile()
    model.fit(x, verbose=0)
    along = np.array([1.0, 0.0, 0.5], np.float32)
    walked = latents.traverse(model, x, along, (-1.0, 0.0, 2.0))
    assert walked.shape == (4, 3, 3)
    np.testing.assert_allclose(walked[:, 1], x, atol=1e-4)
    np.testing.assert_allclose(model.encode(walked[:, 2]), model.encode(x) + 2.0 * along, atol=1e-3)
    found = latents.combine(model, (x, x[::-1]), (x,))
    np.testing.assert_allclose(found, x[::-1], atol=1e-3)


def test_a_direction_of_labels_changes_the_image(images):
    """Brightness on the left as an attribute: along its direction the left half becomes brighter."""
    x, y = images
    model = Autoencoder((8, 8, 1), 4, width=16)
    model.compile()
    long_fit(model, x, None, 100)
    left = y % 2 == 0
    along = latents.direction(model.encode(x), left)
    walked = latents.traverse(model, x[~left], along, (0.0, 1.0))
    before, after = (walked[:, i, :, :4].mean() - walked[:, i, :, 4:].mean() for i in (0, 1))
    assert after > before + 0.1


def test_plane_is_that_of_the_principal_components():
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    z = (rng.normal(size=(2000, 6)) * [3.0, 2.0, 0.1, 0.1, 0.1, 0.1]) @ axes.T
    flat = latents.plane(z)
    np.testing.assert_allclose(np.abs(np.corrcoef(flat.T, (z @ axes[:, :2]).T)[:2, 2:]), np.eye(2), atol=0.1)


def test_picture_puts_like_beside_like(images):
    """Images of one class are neighbours on the map more often than chance would have it."""
    x, _ = images
    model = Autoencoder((8, 8, 1), 2, width=8)
    found = latents.picture(model, x, columns=5)
    assert found.shape == (5 * 10 + 2, 5 * 10 + 2, 1)
    assert found.dtype == np.uint8
    cells = [found[2 + 10 * row :, 2 + 10 * column :][:8, :8] for row in range(5) for column in range(5)]
    shown = [cell for cell in cells if cell.min() < 255]
    assert len(shown) >= 5
    assert all(any(np.array_equal(cell, image) for image in x) for cell in shown)


def test_wrong_arguments(images):
    model = Autoencoder((8, 8, 1), 4, width=8)
    x, _ = images
    for call, message in [
        (lambda: latents.direction(np.zeros((4, 2)), np.ones(4)), "all 4 examples are of one kind"),
        (lambda: latents.direction(np.zeros((4, 2)), np.ones(3)), "expected"),
        (lambda: latents.direction(np.eye(2), np.array([0, 1])), "several different ones"),
        (lambda: latents.direction(np.full((4, 2), np.nan), np.array([0, 1, 0, 1])), "all finite"),
        (lambda: latents.traverse(model, x, np.zeros(3)), "latents"),
        (lambda: latents.traverse(model, x, np.zeros(4), (np.nan,)), "amounts"),
        (lambda: latents.combine(model, (x, x[:2])), "as many"),
        (lambda: latents.combine(model, ()), "as many"),
        (lambda: latents.plane(np.zeros((4, 1))), "both at least 2"),
        (lambda: latents.picture(FlowMatching((6,), network={"class": "MLP", "width": 8}), np.zeros((4, 6))), "images"),
        (lambda: latents.picture(model, x, columns=1), "columns"),
    ]:
        with pytest.raises(InputError, match=message):
            call()
