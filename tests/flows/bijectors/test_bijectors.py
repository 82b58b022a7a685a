import keras
import numpy as np
import pytest
from keras import ops
from sklearn.datasets import load_sample_image

from kerasgen import bijectors
from kerasgen.errors import InputError
from kerasgen.flows.bijectors import (
    ActNorm,
    AdditiveCoupling,
    AffineCoupling,
    ConditionalSplit,
    GaussianPrior,
    Haar,
    HistogramEqualization,
    Invertible,
    InvertibleConv1x1,
    Logit,
    MultiScale,
    Permute,
    RationalQuadraticSpline,
    SigmoidCoupling,
    Split,
    Squeeze,
    UniformDequantization,
    VariationalDequantization,
    base,
)
from kerasgen.flows.bijectors.rational_quadratic_spline import spline
from tests.flows.bijectors.flow_case import check_bijector, randomise

IMAGE, VECTOR = (4, 4, 3), (5,)
COUPLINGS = (AdditiveCoupling, AffineCoupling, RationalQuadraticSpline, SigmoidCoupling)


def couplings(shape, network):
    return {
        f"{cls.__name__}-{mask}-{swap}": lambda cls=cls, mask=mask, swap=swap: cls(
            shape, network, 8, mask=mask, swap=swap
        )
        for cls in COUPLINGS
        for mask in ("channel", "checkerboard")
        for swap in (False, True)
    }


def multi_scale():
    squeeze = Squeeze(IMAGE)
    split = Split(squeeze.latent_shape)
    level = Invertible([squeeze, InvertibleConv1x1(squeeze.latent_shape, seed=1), split])
    return MultiScale([level, Invertible([ActNorm(split.kept_shape), GaussianPrior(split.kept_shape)])])


def conditional_split():
    shape = (4, 4, 2)
    return ConditionalSplit(IMAGE, 1, AffineCoupling(shape, width=8, context_channels=1))


def equalization():
    """Of pictures of 2 bits, from a batch in which not all values are as frequent."""
    layer = HistogramEqualization(IMAGE, num_bits=2)
    layer.initialize(np.random.default_rng(0).beta(0.5, 2.0, (8, *IMAGE)).astype(np.float32))
    return layer


IMAGE_CASES = {
    "ActNorm": lambda: ActNorm(IMAGE),
    "InvertibleConv1x1": lambda: InvertibleConv1x1(IMAGE, seed=3),
    "Squeeze": lambda: Squeeze(IMAGE),
    "Haar": lambda: Haar(IMAGE),
    "Split": lambda: Split(IMAGE),
    "ConditionalSplit": conditional_split,
    "HistogramEqualization": equalization,
    "Permute": lambda: Permute(IMAGE, seed=1),
    "GaussianPrior": lambda: GaussianPrior(IMAGE),
    "Logit": lambda: Logit(IMAGE),
    "Invertible": lambda: Invertible([ActNorm(IMAGE), Permute(IMAGE), AffineCoupling(IMAGE, width=8)]),
    "MultiScale": multi_scale,
    "padded network": lambda: SigmoidCoupling(IMAGE, "padded", 8),
    "padded split": lambda: Split(IMAGE, network="padded_linear"),
    "residual network": lambda: AffineCoupling(IMAGE, "residual", 8),
} | couplings(IMAGE, "conv")
VECTOR_CASES = {
    "ActNorm": lambda: ActNorm(VECTOR),
    "InvertibleConv1x1": lambda: InvertibleConv1x1(VECTOR, seed=3),
    "Permute": lambda: Permute(VECTOR),
    "GaussianPrior": lambda: GaussianPrior(VECTOR),
} | couplings(VECTOR, "dense")


def real_patches(number=3):
    """Patches 4 x 4 x 3 of a photograph, in [0, 1]."""
    picture = load_sample_image("flower.jpg")[200:, 200:]
    return np.stack([picture[8 * i : 8 * i + 4, 16 * i : 16 * i + 4] for i in range(number)]) / np.float32(255.0)


@pytest.mark.parametrize("name", IMAGE_CASES)
def test_images(name):
    random = np.random.default_rng(0).uniform(0.01, 0.99, (2, *IMAGE))
    check_bijector(randomise(IMAGE_CASES[name]()), np.concatenate([random, real_patches()]))


@pytest.mark.parametrize("name", VECTOR_CASES)
def test_vectors(name):
    check_bijector(randomise(VECTOR_CASES[name]()), 2.0 * np.random.default_rng(0).standard_normal((4, *VECTOR)))


@pytest.mark.parametrize("cls", [GaussianPrior, Split])
def test_class_conditional_priors(cls):
    bijector = randomise(cls(IMAGE, num_classes=3))
    x = np.random.default_rng(0).standard_normal((2, *IMAGE))
    one_hot = ops.convert_to_tensor(np.eye(3, dtype=np.float32)[[1, 1]])
    check_bijector(bijector, x, one_hot)
    other = ops.convert_to_tensor(np.eye(3, dtype=np.float32)[[2, 2]])
    x = ops.convert_to_tensor(x.astype(np.float32))
    a, b = (ops.convert_to_numpy(bijector.forward_and_log_det(x, c)[1]) for c in (one_hot, other))
    assert np.abs(a - b).min() > 1e-3


def test_coupling_with_context():
    bijector = randomise(AffineCoupling(IMAGE, width=8, context_channels=2))
    rng = np.random.default_rng(0)
    context = np.repeat(rng.standard_normal((1, 4, 4, 2)), 2, axis=0).astype(np.float32)
    check_bijector(bijector, rng.standard_normal((2, *IMAGE)), ops.convert_to_tensor(context))


@pytest.mark.parametrize("cls", COUPLINGS[:3])
def test_couplings_start_as_the_identity(cls):
    x = np.random.default_rng(0).standard_normal((2, *IMAGE)).astype(np.float32)
    z, log_det = cls(IMAGE, width=8).forward_and_log_det(ops.convert_to_tensor(x))
    np.testing.assert_allclose(ops.convert_to_numpy(z), x, atol=1e-6)
    np.testing.assert_allclose(ops.convert_to_numpy(log_det), 0.0, atol=1e-4)


def test_affine_log_scale_is_bounded():
    _, log_derivative = AffineCoupling(VECTOR, "dense", 4).transform(
        ops.ones((1, 2)), ops.convert_to_tensor(np.array([[0.0, 0.0, 1e6, -1e6]], np.float32)), inverse=False
    )
    np.testing.assert_allclose(ops.convert_to_numpy(log_derivative), [[2.0, -2.0]], rtol=1e-6)


def test_couplings_keep_one_part():
    """Channel and checkerboard masks: what stays stays, what changes depends on all that stays."""
    x = np.random.default_rng(0).standard_normal((1, *IMAGE)).astype(np.float32)
    for mask, swap in [("channel", False), ("channel", True), ("checkerboard", False), ("checkerboard", True)]:
        z, _ = randomise(AffineCoupling(IMAGE, width=8, mask=mask, swap=swap)).forward_and_log_det(
            ops.convert_to_tensor(x)
        )
        same = ops.convert_to_numpy(z) == x
        if mask == "channel":
            kept = np.broadcast_to(np.arange(3) >= 1 if swap else np.arange(3) < 1, same.shape)
            # 3 channels: 1 and 2; with swap the last 2 stay and the first changes.
        else:
            rows, columns = np.indices((4, 4))
            kept = np.broadcast_to((((rows + columns) % 2) == int(swap))[None, ..., None], same.shape)
        assert (same == kept).all()


def test_squeeze_takes_blocks():
    x = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    z, _ = Squeeze((4, 4, 1)).forward_and_log_det(ops.convert_to_tensor(x))
    assert ops.convert_to_numpy(z)[0, 0, 0].tolist() == [0, 1, 4, 5]
    assert ops.convert_to_numpy(z)[0, 1, 0].tolist() == [8, 9, 12, 13]


def test_haar_keeps_the_image_at_half_the_size():
    x = real_patches()
    z = ops.convert_to_numpy(Haar(IMAGE).forward_and_log_det(ops.convert_to_tensor(x))[0])
    np.testing.assert_allclose(z[..., :3], x.reshape(3, 2, 2, 2, 2, 3).mean(axis=(2, 4)), atol=1e-6)


def test_histogram_equalization_makes_pixels_uniform():
    """Dequantized pixels become uniform; what the map knows comes from the first batch alone."""
    from scipy import stats

    rng = np.random.default_rng(0)
    pixels = np.minimum(rng.geometric(0.3, (400, *IMAGE)) - 1, 15)
    x = ((pixels + rng.uniform(size=pixels.shape)) / 16.0).astype(np.float32)
    layer = HistogramEqualization(IMAGE, num_bits=4)
    z = ops.convert_to_numpy(layer.initialize(ops.convert_to_tensor(x)))
    assert stats.kstest(z.ravel(), "uniform").pvalue > 1e-3
    table = layer.get_weights()
    layer.initialize(ops.convert_to_tensor(x**2))
    assert (layer.get_weights()[0] == table[0]).all()
    _, log_det = HistogramEqualization(IMAGE).forward_and_log_det(ops.convert_to_tensor(x))
    np.testing.assert_allclose(ops.convert_to_numpy(log_det), 0.0, atol=1e-3)


def test_invertible_conv_starts_as_a_rotation():
    for size in (1, 2, 7, 48):
        layer = InvertibleConv1x1((4, 4, size), seed=(0, size))
        w = ops.convert_to_numpy(layer.weight()).astype(np.float64)
        np.testing.assert_allclose(w @ w.T, np.eye(size), atol=1e-5)
        np.testing.assert_allclose(w @ ops.convert_to_numpy(layer.inverse_weight()), np.eye(size), atol=1e-5)


def test_maps_of_channels_pass_as_one():
    """A chain gives what its bijectors give one after the other, in both directions."""
    chain = bijectors.Invertible([ActNorm((2, 2, 3)), InvertibleConv1x1((2, 2, 3), seed=1), ActNorm((2, 2, 3))])
    assert [len(run) for run in chain.runs()] == [3]
    randomise(chain)
    x = z = ops.convert_to_tensor(np.random.default_rng(0).normal(size=(4, 2, 2, 3)).astype(np.float32))
    total = 0.0
    for bijector in chain.bijectors:
        z, log_det = bijector.forward_and_log_det(z)
        total = total + log_det
    found = chain.forward_and_log_det(x)
    back = chain.inverse_and_log_det(z)
    for ours, expected in zip((*found, *back), (z, total, x, -total), strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(ours), ops.convert_to_numpy(expected), rtol=1e-4, atol=1e-4)


def test_act_norm_initialises_once(tmp_path):
    rng = np.random.default_rng(0)
    x = (5.0 + 3.0 * rng.standard_normal((64, *IMAGE)) * np.array([1.0, 0.1, 10.0])).astype(np.float32)
    layer = ActNorm(IMAGE)
    assert not layer.initialized
    z = ops.convert_to_numpy(layer.initialize(ops.convert_to_tensor(x)))
    np.testing.assert_allclose(z.mean(axis=(0, 1, 2)), 0.0, atol=1e-4)
    np.testing.assert_allclose(z.std(axis=(0, 1, 2)), 1.0, atol=1e-4)
    assert layer.initialized
    before = layer.get_weights()
    again = ActNorm(IMAGE)
    again.set_weights(before)
    for initialised in (layer, again):
        initialised.initialize(ops.convert_to_tensor(7.0 * x))
        for a, b in zip(before, initialised.get_weights(), strict=True):
            assert (a == b).all()


def test_act_norm_keeps_the_scale_of_what_hardly_varies():
    """Constant in the sample, or nearly: values that it missed stay of their size, through several of them."""
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [rng.standard_normal((1024, 2)), np.full((1024, 1), 0.3), 1e-6 * rng.standard_normal((1024, 2))], 1
    )
    flow = Invertible([ActNorm(VECTOR, name=f"act_norm_{index}") for index in range(12)])
    z = ops.convert_to_numpy(flow.initialize(ops.convert_to_tensor(x.astype(np.float32))))
    np.testing.assert_allclose(z.std(axis=0)[:2], 1.0, atol=1e-4)
    np.testing.assert_allclose(z.mean(axis=0), 0.0, atol=1e-4)
    missed = np.full((2, 5), 30.0, np.float32)
    z, log_det = flow.forward_and_log_det(ops.convert_to_tensor(missed))
    np.testing.assert_allclose(ops.convert_to_numpy(z)[:, 2:], [[29.7, 30.0, 30.0]] * 2, rtol=1e-4)
    check_bijector(flow, rng.standard_normal(missed.shape))
    np.testing.assert_allclose(ops.convert_to_numpy(log_det), -np.log(x[:, :2].std(axis=0)).sum(), atol=1e-4)


def test_histogram_equalization_keeps_rare_values_apart():
    """Of four million pixels of one value, each other value still has a bin of 256 float32 steps."""
    shape = (64, 64, 1)
    layer = HistogramEqualization(shape)
    layer.set_from(np.full((1024, *shape), 255.5 / 256.0, np.float32))
    frequency = np.exp(ops.convert_to_numpy(layer.log_frequency).astype(np.float64))
    assert frequency.sum() == pytest.approx(1.0, abs=1e-5)
    assert frequency.min() >= 0.99 * 2.0**-16
    x = np.resize((np.arange(256) + 0.5) / 256.0, (1, *shape)).astype(np.float32)
    z, _ = layer.forward_and_log_det(ops.convert_to_tensor(x))
    back = ops.convert_to_numpy(layer.inverse_and_log_det(z)[0])
    np.testing.assert_allclose(256.0 * back, 256.0 * x, atol=0.02)


@pytest.mark.backend("tensorflow", "jax")  # PyTorch takes no function in a layer's place
def test_initialization_in_parts_is_that_of_all_at_once(monkeypatch):
    """And no layer ever sees more than a part."""
    x = np.random.default_rng(0).uniform(0.1, 0.9, (70, *IMAGE)).astype(np.float32)
    labels = ops.convert_to_tensor(np.eye(3, dtype=np.float32)[np.arange(70) % 3])
    weights, seen = [], []
    for rows in (16, 1000):
        monkeypatch.setattr(base, "ROWS", rows)
        keras.utils.set_random_seed(0)
        shape = (2, 2, 12)
        first = [ActNorm(IMAGE), Squeeze(IMAGE), ActNorm(shape), AffineCoupling(shape, width=8), Split(shape, 3)]
        second = [ActNorm((2, 2, 6)), AffineCoupling((2, 2, 6), width=8, name="last"), GaussianPrior((2, 2, 6), 3)]
        flow = randomise(MultiScale([Invertible(first), Invertible(second)]))
        last = second[1].network
        monkeypatch.setattr(second[1], "network", lambda y, training, last=last: (seen.append(len(y)), last(y))[1])
        z = ops.convert_to_numpy(flow.initialize(ops.convert_to_tensor(x), labels))
        weights.append([*flow.get_weights(), z])
    assert seen == [16, 16, 16, 16, 6, 70]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_spline_outside_its_bound_is_the_identity():
    rng = np.random.default_rng(0)
    x = ops.convert_to_tensor(np.array([-9.0, -3.0, 3.0, 50.0], np.float32))
    parameters = ops.convert_to_tensor(rng.standard_normal((4, 11)).astype(np.float32))
    for inverse in (False, True):
        y, log_derivative = spline(x, parameters, 3.0, inverse)
        np.testing.assert_allclose(ops.convert_to_numpy(y), ops.convert_to_numpy(x), atol=1e-5)
        assert ops.convert_to_numpy(log_derivative)[[0, 3]].tolist() == [0.0, 0.0]


def test_spline_is_smooth_and_rises():
    x = np.linspace(-4.0, 4.0, 4001, dtype=np.float32)
    parameters = np.tile(np.random.default_rng(1).standard_normal(11) * 2.0, (4001, 1)).astype(np.float32)
    y, log_derivative = map(ops.convert_to_numpy, spline(ops.array(x), ops.array(parameters), 3.0))
    assert (np.diff(y) > 0).all()
    midpoints = 0.5 * (np.exp(log_derivative[1:]) + np.exp(log_derivative[:-1]))
    np.testing.assert_allclose(np.diff(y) / np.diff(x), midpoints, rtol=0.05, atol=0.02)


def test_uniform_dequantization():
    k = ops.array(np.array([0.0, 3.0, 15.0], np.float32).reshape(1, 1, 3, 1))
    v, log_q = UniformDequantization(4).dequantize(k, ops.array(np.full((1, 1, 3, 1), 0.5, np.float32)))
    np.testing.assert_allclose(ops.convert_to_numpy(v).ravel(), [0.5 / 16, 3.5 / 16, 15.5 / 16])
    assert ops.convert_to_numpy(log_q).tolist() == [0.0]


def test_variational_dequantization_is_a_density_on_the_unit_cube():
    """E_q[1 / q(u | k)] is the volume of the cube, 1; and q is uniform before it is trained."""
    shape = (2, 2, 1)
    layer = VariationalDequantization(shape, width=8)
    k = ops.array(np.tile(np.array([0.0, 255.0, 7.0, 100.0], np.float32).reshape(1, *shape), (20000, 1, 1, 1)))
    noise = ops.array(np.random.default_rng(0).uniform(size=(20000, *shape)).astype(np.float32))
    u, log_q = map(ops.convert_to_numpy, layer.draw(k, noise))
    np.testing.assert_allclose(log_q, 0.0, atol=1e-3)
    np.testing.assert_allclose(u, ops.convert_to_numpy(noise), atol=1e-4)
    u, log_q = map(ops.convert_to_numpy, randomise(layer, 0.05).draw(k, noise))
    assert log_q.std() > 0.05
    assert u.min() > -1e-5
    assert u.max() < 1.0 + 1e-5
    weights = np.exp(-log_q)
    assert abs(weights.mean() - 1.0) < 5.0 * weights.std() / np.sqrt(len(weights))


def test_bad_shapes():
    for make, message in [
        (lambda: Squeeze((5, 4, 1)), "cannot be squeezed"),
        (lambda: Squeeze((8,)), "cannot be squeezed"),
        (lambda: Split((4, 4, 1)), "cannot be split"),
        (lambda: AffineCoupling((4, 4, 1)), "nothing to split"),
        (lambda: AffineCoupling((1,), "dense", mask="checkerboard"), "nothing to split"),
        (lambda: AffineCoupling(IMAGE, mask="stripes"), "mask"),
        (lambda: AffineCoupling(IMAGE, "unet"), "expected one of"),
        (lambda: AffineCoupling(VECTOR, "conv"), "dense"),
        (lambda: AffineCoupling(IMAGE, keras.layers.Conv2D(3, 3, padding="same")), "outputs of shape"),
        (lambda: ActNorm((0, 4, 1)), "at least 1"),
    ]:
        with pytest.raises(InputError, match=message):
            make()


def test_every_coupling_has_a_name():
    assert set(bijectors.COUPLINGS.values()) == set(COUPLINGS)
