import keras
import numpy as np
import pytest
from keras import layers, ops
from sklearn.datasets import load_digits, make_moons

from kerasgen import Glow, RealNVP
from kerasgen.errors import InputError
from tests.flows.bijectors.flow_case import check_bijector, jacobian, randomise
from tests.model_case import LatentCase, assert_same, long_fit


def digits():
    """Real digits, 8 x 8 x 1, float in [0, 1], and their classes."""
    data = load_digits()
    return (data.images / 16.0)[..., None].astype(np.float32), data.target


class DensityCase:
    """What a flow and its density are, for every kind of flow; subclasses give `make`."""

    num_classes = None

    def labels(self, y):
        return y if self.num_classes else None

    def initialized(self, images):
        model = self.make()
        model.initialize(*model.unpack(images)[:2])
        randomise(model.flow, 0.05)
        return model

    def test_training(self, images):
        x, y = images
        model = self.make()
        model.initialize(*model.unpack(images)[:2])
        model.compile()
        losses = long_fit(model, x, self.labels(y), 8, epochs=2).history["loss"]
        assert losses[1] < losses[0]

    def test_pixels_come_back(self, images):
        x, y = images
        y = self.labels(y)
        model = self.initialized(images)
        assert_same(model.reconstruct(x, y), x / np.float32(255.0), 1e-6)
        coarse = self.make(num_bits=3)
        assert_same(coarse.reconstruct(x, y), (x // 32) / np.float32(7.0), 1e-6)

    @pytest.mark.parametrize("data", ["random", "real"])
    def test_the_flow_is_invertible(self, images, data):
        """To 1e-5, both ways, with log-determinants that are those of the Jacobian."""
        model = self.make()
        x = digits()[0][:2] if data == "real" else np.random.default_rng(0).uniform(size=(2, 8, 8, 1))
        condition = None
        if self.num_classes:
            condition = ops.convert_to_tensor(np.eye(self.num_classes, dtype=np.float32)[[1, 1]])
        check_bijector(randomise(model.flow, 0.05), 0.01 + 0.98 * x, condition)

    def test_log_prob_is_the_change_of_variables(self, images):
        """Against the Jacobian of `encode` of the continuous image, and SciPy's normal density."""
        from scipy import stats

        x, y = images[0][:3], images[1][[1, 1, 1]]  # of one class, so that the Jacobians are those of one map
        model = self.initialized(images)
        labels = self.labels(y)
        u = np.full((3, 8, 8, 1), 0.25, np.float32)
        condition = None if labels is None else model.one_hot(labels)
        found = ops.convert_to_numpy(model.log_density(ops.array(x / np.float32(255.0)), ops.array(u), condition))

        def flow(rows):
            given = None if condition is None else condition[: rows.shape[0]]
            return model.flow.forward_and_log_det(ops.reshape(rows, (-1, 8, 8, 1)), given)[0]

        v = ((x + u) / 256.0).reshape(3, -1).astype(np.float32)
        z = ops.convert_to_numpy(flow(ops.array(v)))
        _, log_det = np.linalg.slogdet(jacobian(flow, v).astype(np.float64))
        np.testing.assert_allclose(found, stats.norm.logpdf(z).sum(axis=1) + log_det, rtol=1e-4)


class FlowCase(DensityCase, LatentCase):
    """A whole family."""

    odd_sides = {"shape": (9, 8, 1)}  # noqa: RUF012
    float16_arguments = {"network": "dense"}  # noqa: RUF012

    def test_bits_per_dim(self, trained, images):
        """-log2 P / dims; the seed is the noise's; an untrained model knows nothing."""
        x, y = images
        model = trained
        labels = self.labels(y)
        nats = model.log_prob(x, labels, seed=1)
        assert nats.shape == (32,)
        assert_same(model.bits_per_dim(x, labels, seed=1), -nats / (64 * np.log(2.0)), 1e-5)
        assert_same(model.anomaly_score(x, labels, seed=1), -nats)
        assert_same(model.log_prob(x[:5], None if labels is None else labels[:5], seed=1, batch_size=2), nats[:5], 1e-2)
        assert np.abs(model.log_prob(x, labels, seed=2) - nats).max() > 1e-3
        noise_images = np.random.default_rng(0).integers(0, 256, x.shape, dtype=np.uint8)
        assert (model.anomaly_score(noise_images, labels) > model.anomaly_score(x, labels).max()).all()

    def test_variational_dequantization(self, images):
        model = self.make(dequantization="variational")
        assert model.likelihood == self.make().likelihood == "bound"
        model.compile()
        losses = self.long_fit(model, images, 10, epochs=2).history["loss"]
        assert losses[1] < losses[0]
        assert type(model).from_config(model.get_config()).dequantization == "variational"

    def test_remat_takes_the_same_step(self, images):
        x, y = images
        weights = []
        for remat in (False, True):
            keras.utils.set_random_seed(0)
            model = self.make(remat=remat)
            model.compile()
            model.fit(x, self.labels(y), epochs=3, shuffle=False, verbose=0)
            weights.append([ops.convert_to_numpy(v) for v in model.trainable_variables])
        for a, b in zip(*weights, strict=True):
            assert_same(a, b, 1e-4)

    def test_first_batch_initialises_once(self, images, tmp_path):
        x, y = images
        model = self.make()
        assert model.needs_initialization
        model.compile(keras.optimizers.SGD(0.0))
        model.train_on_batch(x, self.labels(y))
        assert not model.needs_initialization
        before = model.get_weights()
        model.fit(255 - x, self.labels(y), verbose=0)
        model.save(tmp_path / "model.keras")
        again = keras.saving.load_model(tmp_path / "model.keras")
        again.fit(255 - x, self.labels(y), verbose=0)
        generator = ((x[i : i + 16], self.labels(y[i : i + 16])) for i in (0, 16))
        fresh = self.make()
        fresh.compile()
        fresh.fit(generator, verbose=0, steps_per_epoch=2, epochs=1)  # the peeked batch is not lost
        assert not fresh.needs_initialization
        trainable = len(model.trainable_variables)
        for a, b in zip(before[:trainable], again.get_weights()[:trainable], strict=True):
            assert (a == b).all()

    def test_own_networks(self, images):
        model = self.make()
        shapes = [(c.network.input_shape[1:], c.network.output_shape[1:]) for c in model.couplings]
        own = [layers.Conv2D(output[-1], 3, padding="same", kernel_initializer="zeros") for _, output in shapes]
        brought = self.make(network=own)
        brought.compile()
        brought.fit(images[0], self.labels(images[1]), verbose=0)
        again = type(model).from_config(brought.get_config())
        again.set_weights(brought.get_weights())
        assert_same(again.sample(2, seed=0), brought.sample(2, seed=0))
        for number in (-1, 1):
            networks = own[:-1] if number < 0 else [*own, layers.Dense(1)]
            with pytest.raises(InputError, match="couplings"):
                self.make(network=networks)

    def test_bad_flows(self):
        for arguments, message in [
            (self.odd_sides, "cannot be squeezed"),
            ({"coupling": "cubic"}, "coupling"),
            ({"dequantization": "none"}, "dequantization"),
            ({"num_bits": 9}, "num_bits"),
            ({"num_bits": 0}, "num_bits"),
            ({"width": 0}, "width"),
            ({"network": "unet"}, "network"),
        ]:
            with pytest.raises(InputError, match=message):
                self.make(**arguments)


class TestGlow(FlowCase):
    num_classes = 4

    # One level, as a split has a convolution.
    float16_arguments = {"network": "dense", "levels": 1}  # noqa: RUF012

    def make(self, **arguments):
        return Glow(**{"shape": (8, 8, 1), "levels": 2, "steps": 1, "width": 8, "num_classes": 4} | arguments)

    def test_steps(self):
        assert len(self.make(steps=[1, 3]).couplings) == 4
        with pytest.raises(InputError, match="steps"):
            self.make(steps=[1, 2, 3])

    def test_labels_decide_the_class(self, images):
        x, y = images
        model = self.make(levels=1, steps=2)
        model.compile(keras.optimizers.Adam(1e-2, global_clipnorm=1.0))
        self.long_fit(model, images, 30)
        means = np.stack([x[y == c].mean(axis=0).ravel() / 255.0 for c in range(4)])
        samples = model.sample(40, seed=0, temperature=0.5).reshape(40, 1, -1)
        nearest = np.square(samples - means).sum(axis=-1).argmin(axis=-1)
        assert (nearest == np.arange(40) % 4).mean() > 0.8
        right, wrong = model.log_prob(x, y), model.log_prob(x, (y + 1) % 4)
        assert (right > wrong).mean() > 0.9


class TestAdditiveGlow(DensityCase):
    def make(self, **arguments):
        return Glow(**{"shape": (8, 8, 1), "levels": 2, "steps": 2, "width": 8, "coupling": "additive"} | arguments)


class TestHaarGlow(DensityCase):
    num_classes = 4

    def make(self, **arguments):
        given = {"shape": (8, 8, 1), "levels": 2, "steps": [2, 1], "width": 8, "num_classes": 4, "squeeze": "haar"}
        return Glow(**given | arguments)

    def test_bad_squeeze(self):
        for arguments in ({"squeeze": "cosine"}, {"equalize": True}):
            with pytest.raises(InputError, match="squeeze"):
                self.make(**arguments)


class TestEqualizedGlow(DensityCase):
    def make(self, **arguments):
        return Glow(**{"shape": (8, 8, 1), "levels": 1, "steps": 2, "width": 8, "equalize": True} | arguments)


@pytest.mark.parametrize("num_bits", [1, 2])
def test_probabilities_of_all_images_sum_to_almost_one(num_bits):
    """Of images of two pixels, whatever their bits, but for the density outside of [0, 1], up to a fifth.

    The mean of exp(bound) over the noise is P itself.
    """
    levels = 2**num_bits
    k = np.stack(np.meshgrid(np.arange(levels), np.arange(levels)), axis=-1).reshape(-1, 1, 2, 1)
    x = (k * (256 // levels)).astype(np.uint8)
    model = RealNVP((1, 2, 1), scales=1, steps=2, width=8, num_bits=num_bits)
    model.initialize(
        *model.unpack((np.random.default_rng(0).integers(0, 256, (64, 1, 2, 1), dtype=np.uint8), None))[:2]
    )
    randomise(model.flow, 0.2)
    times = 4096
    log_prob = model.log_prob(np.repeat(x, times, axis=0), batch_size=8192, verbose=0)
    assert 0.7 < np.exp(log_prob.astype(np.float64)).sum() / times < 1.02
    # Training minimizes the same bits.
    model.compile()
    bits = model.evaluate(np.repeat(x, times // 4, axis=0), batch_size=1024, verbose=0, return_dict=True)["loss"]
    assert bits == pytest.approx(-log_prob.mean() / (2 * np.log(2.0)), abs=0.02)


def test_floats_are_8_bit_pixels(images):
    """To half a bin they are the nearest pixels; the kinds of dequantization that Flow takes all say so."""
    model = RealNVP((8, 8, 1), scales=1, steps=1, width=8, num_bits=5)
    model.initialize(*model.unpack((images[0], None))[:2])
    x = images[0].astype(np.float32)
    assert_same(model.log_prob(np.clip(x + 0.4, 0, 255) / 255, seed=1), model.log_prob(images[0], seed=1), 1e-3)


class TestRealNVP(FlowCase):
    odd_sides = {"shape": (9, 8, 1), "scales": 2}  # noqa: RUF012

    def make(self, **arguments):
        return RealNVP(**{"shape": (8, 8, 1), "scales": 1, "steps": 1, "width": 8} | arguments)


class TestSplineRealNVP(DensityCase):
    def make(self, **arguments):
        given = {"shape": (8, 8, 1), "scales": 2, "steps": 1, "width": 8, "coupling": "spline"}
        return RealNVP(**given | arguments)


def two_moons(num, seed):
    return make_moons(num, noise=0.1, random_state=seed)[0].astype(np.float32)


def checkerboard(num, seed):
    """Uniform on the black squares of a 4 x 4 board over [-2, 2]^2."""
    rng = np.random.default_rng(seed)
    row = rng.integers(0, 4, num)
    column = 2 * rng.integers(0, 2, num) + row % 2
    return (np.stack([column, row], axis=1) - 2.0 + rng.uniform(size=(num, 2))).astype(np.float32)


def kernel_two_sample_p_value(a, b, permutations=200):
    """Gretton et al. 2012: the maximum mean discrepancy with a Gaussian kernel against that of shuffled samples."""
    both = np.concatenate([a, b]).astype(np.float64)
    squared = np.square(both[:, None] - both[None]).sum(axis=-1)
    kernel = np.exp(-squared / np.median(squared) * 4.0)
    rng, n = np.random.default_rng(0), len(a)

    def discrepancy(order):
        sign = np.where(np.arange(len(both)) < n, 1.0, -1.0)[np.argsort(order)]
        return sign @ kernel @ sign

    found = discrepancy(np.arange(len(both)))
    return np.mean([discrepancy(rng.permutation(len(both))) >= found for _ in range(permutations)])


@pytest.mark.slow
@pytest.mark.backend("tensorflow")
@pytest.mark.parametrize("draw", [two_moons, checkerboard])
def test_densities_of_vectors(draw):
    """The density integrates to one, and samples cannot be told from data."""
    keras.utils.set_random_seed(0)
    model = RealNVP((2,), steps=6, width=64, coupling="spline")
    schedule = keras.optimizers.schedules.CosineDecay(3e-3, 3000)
    model.compile(keras.optimizers.Adam(schedule, global_clipnorm=1.0))
    model.fit(draw(100_000, 0), batch_size=500, epochs=15, verbose=0)
    axis = np.linspace(-6.0, 6.0, 601, dtype=np.float32)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    density = np.exp(model.log_prob(grid, batch_size=20_000, verbose=0).astype(np.float64))
    assert density.sum() * (axis[1] - axis[0]) ** 2 == pytest.approx(1.0, abs=0.01)
    samples, data = model.sample(1000, seed=0, batch_size=1000), draw(1000, 7)
    assert kernel_two_sample_p_value(samples, data) > 0.01
    # The test can tell: a normal with the data's mean and covariance fails it.
    rng = np.random.default_rng(1)
    normal = rng.multivariate_normal(data.mean(axis=0), np.cov(data.T), 1000)
    assert kernel_two_sample_p_value(normal, data) <= 0.01


class TestVectors:
    def make(self, **arguments):
        return RealNVP(**{"shape": (3,), "steps": 4, "width": 16} | arguments)

    def test_a_table(self, tmp_path):
        """Columns of any scale; labels are not asked for."""
        rng = np.random.default_rng(0)
        x = (rng.standard_normal((512, 3)) @ rng.standard_normal((3, 3)) * [1.0, 50.0, 0.1] + [0, 300, 5]).astype("f")
        model = self.make()
        assert model.likelihood == "exact"
        model.compile(keras.optimizers.Adam(3e-3))
        model.fit(x, batch_size=64, epochs=10, verbose=0)
        exact = -np.linalg.slogdet(np.cov(x.T))[1] / 2 - 1.5 * np.log(2 * np.pi) - 1.5
        assert model.log_prob(x).mean() == pytest.approx(exact, abs=0.15)
        assert_same(model.decode(model.encode(x)) / np.abs(x).max(0), x / np.abs(x).max(0), 1e-4)
        assert model.sample(5, seed=0).shape == (5, 3)
        assert_same(model.bits_per_dim(x), -model.log_prob(x) / (3 * np.log(2.0)))
        model.save(tmp_path / "model")
        assert_same(keras.saving.load_model(tmp_path / "model").sample(4, seed=0), model.sample(4, seed=0), 1e-3)

    @pytest.mark.parametrize("coupling", ["affine", "spline"])
    def test_columns_that_are_constant_in_what_initializes(self, coupling):
        """Mostly zeros, standardized, as pixels and counts are: rare values lie at 30, and most samples miss them."""
        rng = np.random.default_rng(0)
        x = rng.standard_normal((1024, 8))
        x[:, 4:] *= rng.uniform(size=(1024, 4)) < 1e-3
        x[-1, 4:] = 1.0
        x = ((x - x.mean(axis=0)) / x.std(axis=0)).astype(np.float32)
        model = self.make(shape=(8,), coupling=coupling)
        model.initialize(ops.convert_to_tensor(x[np.flatnonzero(np.abs(x[:, 4:]).max(axis=1) < 1.0)[:32]]), None)
        model.compile()
        before = model.log_prob(x)
        model.fit(x, batch_size=256, epochs=2, verbose=0)
        after = model.log_prob(x)
        assert np.isfinite(before).all()
        assert np.isfinite(after).all()
        assert np.median(after) > np.median(before)
        assert np.isfinite(model.sample(16, seed=0)).all()

    def test_bad_vectors(self):
        model = self.make()
        model.compile()
        for x, message in [
            (np.zeros((4, 2), "f"), "takes"),
            (np.zeros((4, 3), "i"), "dtype"),
            (np.full((4, 3), np.inf, "f"), "finite"),
            (np.zeros((4, 3, 1), "f"), "axes"),
        ]:
            with pytest.raises(InputError, match=message):
                model.fit(x, verbose=0)
        with pytest.raises(InputError, match="nothing to split"):
            self.make(shape=(1,))
        with pytest.raises(InputError, match="shape"):
            Glow((3,))
