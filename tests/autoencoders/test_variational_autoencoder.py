import keras
import numpy as np
import pytest
from keras import layers, ops
from scipy import stats

from kerasgen import VariationalAutoencoder, noise
from kerasgen.autoencoders.distributions import Bernoulli, DiscretizedLogistic, DiscretizedLogisticMixture, Gaussian
from kerasgen.base import rows
from kerasgen.errors import InputError
from tests.model_case import LatentCase, assert_same, long_fit


class VAECase(LatentCase):
    def make(self, **arguments):
        return VariationalAutoencoder(
            **{"shape": (8, 8, 1), "latent_dim": 3, "width": 8, "num_classes": self.num_classes} | arguments
        )


class TestVAE(VAECase):
    pass


class TestConditionalVAE(VAECase):
    num_classes = 4

    def make(self, **arguments):
        return super().make(**{"decoder_distribution": "discretized_logistic"} | arguments)

    def test_labels_decide_the_class(self, images):
        x, y = images
        model = self.make(width=16)
        model.compile(keras.optimizers.Adam(3e-3))
        self.long_fit(model, images, 100)
        means = [x[y == c].mean(axis=0).ravel() / 255.0 for c in range(4)]
        samples = model.sample(40, seed=0).reshape(40, -1)
        nearest = [np.argmin([np.square(s - m).sum() for m in means]) for s in samples]
        np.testing.assert_array_equal(nearest, np.arange(40) % 4)
        assert (np.argmin([np.square(model.sample(1, labels=2)[0].ravel() - m).sum() for m in means])) == 2

    def test_needs_labels(self, images):
        x, _ = images
        model = self.make()
        model.compile()
        for call in (lambda: model.fit(x, verbose=0), lambda: model.encode(x), lambda: model.log_prob(x)):
            with pytest.raises(InputError, match="needs labels"):
                call()


class TestDenseGaussianVAE(VAECase):
    def make(self, **arguments):
        defaults = {"encoder": "dense", "decoder": "dense", "width": 32, "decoder_distribution": "gaussian"}
        return super().make(**defaults | {"free_bits": 0.1, "kl_warmup_steps": 4} | arguments)


class TestOwnNetworks(VAECase):
    named_layers = False

    def make(self, **arguments):
        encoder = keras.Sequential([layers.Flatten(), layers.Dense(16, "relu"), layers.Dense(6)])
        decoder = keras.Sequential([layers.Dense(64), layers.Reshape((8, 8, 1))])
        return super().make(**{"encoder": encoder, "decoder": decoder} | arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"decoder_distribution": "laplace"}, "bernoulli"),
        ({"beta": -1}, "beta"),
        ({"beta": float("nan")}, "beta"),
        ({"free_bits": -0.5}, "free_bits"),
        ({"kl_warmup_steps": 1.5}, "kl_warmup_steps"),
        ({"latent_dim": 0}, "latent_dim"),
        ({"width": 0}, "width"),
        ({"encoder": "resnet"}, "conv"),
        ({"encoder": 3}, "Keras layer"),
        ({"encoder": keras.Sequential([layers.Flatten(), layers.Dense(7)])}, r"\(7,\)"),
        ({"num_classes": 0}, "num_classes"),
        ({"shape": (8, 8, 0)}, "shape"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        VariationalAutoencoder(**{"shape": (8, 8, 1), "latent_dim": 2, "width": 4} | arguments)


def test_odd_sizes_and_colours():
    x = np.random.default_rng(0).integers(0, 256, (4, 13, 21, 3), dtype=np.uint8)
    model = VariationalAutoencoder(shape=(13, 21, 3), latent_dim=2, width=4)
    assert model.reconstruct(x).shape == x.shape
    assert model.sample(2).shape == (2, 13, 21, 3)


# Distributions, against their definitions


tensor = ops.convert_to_tensor


def grey():
    return (np.random.default_rng(0).integers(0, 256, (3, 4, 4, 2)) / 255.0).astype("float32")


def test_bernoulli_is_the_mean_over_binarisations():
    x, logits = grey(), np.random.default_rng(1).normal(size=(3, 4, 4, 2)).astype("float32")
    p = 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))
    expected = (x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(
        ops.convert_to_numpy(Bernoulli().log_prob(tensor(x), tensor(logits))), expected, rtol=1e-5
    )


def test_gaussian_against_scipy():
    x, mean = grey(), np.random.default_rng(1).normal(size=(3, 4, 4, 2)).astype("float32")
    distribution = Gaussian()
    distribution.log_scale.assign(-0.7)
    expected = stats.norm(mean, np.exp(-0.7)).logpdf(x).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(
        ops.convert_to_numpy(distribution.log_prob(tensor(x), tensor(mean))), expected, rtol=1e-5
    )


def test_discretized_logistic_against_scipy_and_sums_to_one():
    distribution = DiscretizedLogistic()
    levels = (np.arange(256) / 255.0).astype("float32").reshape(256, 1, 1, 1)
    for mean, log_scale in [(0.0, 0.0), (0.4, -1.0), (-0.6, -2.0), (3.0, 1.0), (0.1, -4.0)]:
        outputs = np.broadcast_to(np.float32([mean, log_scale]), (256, 1, 1, 2))
        log_p = ops.convert_to_numpy(distribution.log_prob(tensor(levels), tensor(outputs))).astype(np.float64)
        assert np.exp(log_p).sum() == pytest.approx(1.0, abs=1e-4)
        logistic = stats.logistic(0.5 + mean, np.exp(log_scale - 2.0))
        edges = np.concatenate([[-np.inf], (np.arange(255) + 0.5) / 255.0, [np.inf]])
        expected = np.diff(logistic.cdf(edges))
        far = expected > 1e-10  # below, the reference itself is rounding
        np.testing.assert_allclose(log_p[far], np.log(expected[far]), atol=2e-3)
        assert np.isfinite(log_p).all()


def test_mixture_is_one_of_discretized_logistics():
    """Each component as by itself, weighed by the softmax; three channels have their own outputs."""
    mixture, single = DiscretizedLogisticMixture(), DiscretizedLogistic()
    rng = np.random.default_rng(0)
    x = (rng.integers(0, 256, (50, 1, 1, 3)) / 255.0).astype(np.float32)
    outputs = rng.normal(size=(50, 1, 1, 27)).astype(np.float32)
    logits, means, log_scales = outputs.reshape(50, 3, 3, 3).transpose(1, 0, 2, 3)  # [N, channel, component] each
    weights = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    p = np.zeros((50, 3))
    for k, start in enumerate((0.1, 0.5, 0.9)):
        for channel in range(3):
            one = np.stack([means[:, channel, k] + start - 0.5, log_scales[:, channel, k]], axis=-1)
            one = one[:, None, None].astype(np.float32)
            log_p = single.log_prob(tensor(x[..., channel : channel + 1]), tensor(one))
            p[:, channel] += weights[:, channel, k] * np.exp(ops.convert_to_numpy(log_p))
    found = ops.convert_to_numpy(mixture.log_prob(tensor(x), tensor(outputs)))
    np.testing.assert_allclose(found, np.log(p).sum(axis=1), atol=1e-3)
    fixed = np.rint(outputs * 2.0**12)
    coded = mixture.fixed_weights(fixed.astype(np.float64))
    assert coded.shape == (50, 1, 1, 3, 256)
    pixels = np.rint(255 * x).astype(int)[..., None]
    chosen = np.take_along_axis(coded, pixels, axis=-1)[..., 0] / coded.sum(axis=-1)
    np.testing.assert_allclose(chosen[:, 0, 0], p, rtol=0.02, atol=5e-5)
    expected = (weights * np.clip(means + np.array([0.1, 0.5, 0.9]), 0.0, 1.0)).sum(axis=-1)
    np.testing.assert_allclose(ops.convert_to_numpy(mixture.mean(tensor(outputs)))[:, 0, 0], expected, atol=1e-5)


# The bound


def test_loss_is_the_bound_by_its_definition(images):
    """With beta, free bits and warm-up, from encoder and decoder outputs in NumPy; the noise is zero."""

    class Quiet(VariationalAutoencoder):
        def normal(self, shape):
            return ops.zeros(shape)

    x = images[0][:16]
    model = Quiet(shape=(8, 8, 1), latent_dim=3, width=8, beta=2.0, free_bits=0.02, kl_warmup_steps=4)
    model.compile(keras.optimizers.SGD(0.0))
    outputs = ops.convert_to_numpy(model.encoder(2.0 * x / np.float32(255.0) - 1.0))
    mean, log_variance = outputs[:, :3], outputs[:, 3:]
    kl = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance)
    logits = ops.convert_to_numpy(model.decoder(mean)).astype(np.float64)
    t = x / 255.0
    reconstruction = -(t * -np.log1p(np.exp(-logits)) + (1 - t) * -np.log1p(np.exp(logits))).sum(axis=(1, 2, 3))
    floor = np.maximum(kl.mean(axis=0), 0.02).sum()
    for step in range(6):
        loss = model.fit(x, batch_size=16, epochs=1, verbose=0).history["loss"][0]
        assert loss == pytest.approx(reconstruction.mean() + 2.0 * min(1.0, (step + 1) / 4) * floor, rel=1e-5)
    result = model.evaluate(x, verbose=0, return_dict=True)
    assert result["loss"] == pytest.approx(reconstruction.mean() + kl.sum(axis=1).mean(), rel=1e-5)


FACTORS = 0.1 * np.linalg.qr(np.random.default_rng(42).normal(size=(10, 3)))[0] * [1.0, 0.8, 0.6]  # W, orthogonal
SCALE = 0.03


def factor_data(num, rng):
    """x = 0.5 + W z + 0.03 e in 10 dimensions with 3 factors: images 2 x 5 x 1, and their exact log-density."""
    x = 0.5 + rng.normal(size=(num, 3)) @ FACTORS.T + SCALE * rng.normal(size=(num, 10))
    exact = stats.multivariate_normal(np.full(10, 0.5), FACTORS @ FACTORS.T + SCALE**2 * np.eye(10)).logpdf(x)
    assert (x > 0).all() and (x < 1).all()
    return x.reshape(num, 2, 5, 1).astype("float32"), exact


def linear_vae(factor):
    """A linear VAE with the parameters of probabilistic PCA (Tipping and Bishop 1999, eq. 7), all times `factor`."""
    encoder = keras.Sequential([layers.Flatten(), layers.Dense(6)])
    decoder = keras.Sequential([layers.Dense(10), layers.Reshape((2, 5, 1))])
    model = VariationalAutoencoder((2, 5, 1), 3, encoder, decoder, decoder_distribution="gaussian")
    precision = np.square(FACTORS).sum(axis=0) / SCALE**2 + 1.0  # of z given x, diagonal
    kernel = np.zeros((10, 6))
    kernel[:, :3] = 0.5 * FACTORS / (SCALE**2 * precision)  # the encoder reads 2 x - 1
    encoder.layers[-1].set_weights([factor * kernel, factor * np.concatenate([np.zeros(3), -np.log(precision)])])
    decoder.layers[0].set_weights([factor * FACTORS.T, np.full(10, 0.5)])
    model.distribution.log_scale.assign(factor * np.log(SCALE))
    return model


def test_density_of_vectors_is_that_of_probabilistic_pca():
    """The bound of a linear VAE at its optimum is exact: log N(x; 0.5, W W^T + s^2 I), also far from [0, 1]."""
    x, exact = factor_data(500, np.random.default_rng(0))
    x = x.reshape(500, 10)
    encoder, decoder = keras.Sequential([layers.Dense(6)]), keras.Sequential([layers.Dense(10)])
    model = VariationalAutoencoder((10,), 3, encoder, decoder)
    precision = np.square(FACTORS).sum(axis=0) / SCALE**2 + 1.0
    kernel, bias = np.zeros((10, 6)), np.concatenate([np.zeros(3), -np.log(precision)])
    kernel[:, :3] = FACTORS / (SCALE**2 * precision)
    bias[:3] = -0.5 * kernel[:, :3].sum(axis=0)
    encoder.layers[0].set_weights([kernel, bias])
    decoder.layers[0].set_weights([FACTORS.T, np.full(10, 0.5)])
    model.distribution.log_scale.assign(np.log(SCALE))
    np.testing.assert_allclose(model.log_prob(x, num_importance_samples=16), exact, atol=1e-2)
    np.testing.assert_allclose(model.anomaly_score(x), -exact, atol=1e-2)
    assert (
        model.sample(2000, seed=0).min() < 0.5 - FACTORS.std() < 0.5 + FACTORS.std() < model.sample(2000, seed=0).max()
    )
    with pytest.raises(InputError, match="gaussian"):
        VariationalAutoencoder((10,), 3, decoder_distribution="bernoulli")
    with pytest.raises(InputError, match="use 'dense' for vectors"):
        VariationalAutoencoder((10,), 3, encoder="conv")


def mean_bound(model, x, num_importance_samples):
    """The mean bound on the log-density of x, in nats; `log_prob` is of its pixels."""
    epsilon = noise.normal(0, len(x), (16 * -(-num_importance_samples // 16), model.latent_dim), 0)
    batches = rows(x, None, epsilon)
    return model.run(model.log_weights_step, len(x), batches, 64, 0, num_importance_samples).mean()


def test_linear_vae_reaches_probabilistic_pca():
    """Lucas et al. 2019: the bound of a linear VAE is the exact log-likelihood at its optimum, probabilistic PCA."""
    x, _ = factor_data(4000, np.random.default_rng(0))
    held_out, exact = factor_data(1000, np.random.default_rng(1))

    def bound(model):
        return mean_bound(model, held_out, 1)

    assert bound(linear_vae(1.0)) == pytest.approx(exact.mean(), abs=1e-3)
    keras.utils.set_random_seed(0)
    model = linear_vae(0.8)
    assert bound(model) < exact.mean() - 2.0
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(5e-3, 2000)))
    model.fit(np.tile(x, (100, 1, 1, 1)), batch_size=200, verbose=0)
    # The fitted model is not the true one: 4,000 examples leave about 40 parameters / (2 n) = 0.005 nats.
    assert bound(model) == pytest.approx(exact.mean(), abs=0.05)


def test_importance_weighted_bound_rises_to_the_density():
    """With a posterior too wide and too near zero the bound is loose, and k samples mend it (Burda et al. 2016)."""
    held_out, exact = factor_data(1000, np.random.default_rng(1))
    model = linear_vae(1.0)
    kernel, bias = model.encoder.layers[-1].get_weights()
    model.encoder.layers[-1].set_weights([0.95 * kernel, bias + np.float32([0, 0, 0, 1.0, 1.0, 1.0])])
    ks = (1, 4, 16, 64, 256)
    estimates = [mean_bound(model, held_out, k) for k in ks]
    assert (np.diff(estimates) > 0).all()
    assert estimates[0] < exact.mean() - 0.5
    assert estimates[-1] == pytest.approx(exact.mean(), abs=0.02)


def test_importance_weights_in_chunks(images):
    """Any number of samples, also one that no chunk divides, against the definition in NumPy."""
    x = images[0][:3]
    model = VariationalAutoencoder(shape=(8, 8, 1), latent_dim=3, width=8)
    t = x / np.float32(255.0)
    outputs = ops.convert_to_numpy(model.encoder(2.0 * t - 1.0)).astype(np.float64)
    mean, sd = outputs[:, :3], np.exp(0.5 * outputs[:, 3:])
    for k in (1, 7, 16, 37):
        epsilon = noise.normal(0, 3, (16 * -(-k // 16), 3), 0)[:, :k]
        z = mean[:, None] + sd[:, None] * epsilon
        logits = ops.convert_to_numpy(model.decoder(z.reshape(-1, 3).astype("float32"))).reshape(3, k, -1)
        pixels = t.reshape(3, 1, -1)
        log_w = (-pixels * np.log1p(np.exp(-logits)) - (1 - pixels) * np.log1p(np.exp(logits))).sum(axis=-1)
        log_w += stats.norm.logpdf(z).sum(-1) - stats.norm(mean[:, None], sd[:, None]).logpdf(z).sum(-1)
        expected = np.logaddexp.reduce(log_w, axis=1) - np.log(k)
        np.testing.assert_allclose(model.log_prob(x, num_importance_samples=k, seed=0), expected, rtol=1e-5)
    assert_same(
        model.log_prob(x, num_importance_samples=37, batch_size=2), model.log_prob(x, num_importance_samples=37), 1e-3
    )


def test_bits_per_dim_of_a_density_counts_the_bins(images):
    """A decoder that ignores z and says N(0.5, 0.3^2): the bits of its integral over each bin, by scipy."""
    x = images[0]
    decoder = keras.Sequential(
        [
            layers.Dense(64, kernel_initializer="zeros", bias_initializer=keras.initializers.Constant(0.5)),
            layers.Reshape((8, 8, 1)),
        ]
    )
    model = VariationalAutoencoder((8, 8, 1), 2, "dense", decoder, width=4, decoder_distribution="gaussian")
    model.encoder.layers[-1].set_weights([np.zeros((4, 4)), np.zeros(4)])
    model.distribution.log_scale.assign(np.log(0.3))
    cdf = stats.norm(0.5, 0.3).cdf
    p = cdf((x + 1) / 256.0) - cdf(x / 256.0)
    assert model.bits_per_dim(x).mean() == pytest.approx(-np.log2(p).mean(), abs=2e-3)
    assert_same(model.log_prob(x), -model.bits_per_dim(x) * 64 * np.log(2.0), 1e-3)
    assert_same(model.log_prob((x + np.float32(0.4)).clip(0, 255) / 255), model.log_prob(x), 1e-3)


def test_anomalies_score_higher(images):
    x, _ = images
    model = VariationalAutoencoder(shape=(8, 8, 1), latent_dim=3, width=16)
    model.compile(keras.optimizers.Adam(3e-3))
    long_fit(model, x, None, 60)
    assert model.anomaly_score(255 - x).min() > model.anomaly_score(x).max()


def test_temperature_zero_is_the_mode(images):
    model = VariationalAutoencoder(shape=(8, 8, 1), latent_dim=3, width=8)
    samples = model.sample(5, temperature=0.0)
    assert_same(samples, np.repeat(model.decode(np.zeros((1, 3))), 5, axis=0))


@pytest.mark.parametrize("distribution", ["bernoulli", "gaussian", "discretized_logistic"])
def test_one_huge_error_stays_finite(distribution):
    """A saturated decoder and an image that it rules out: large, but finite, loss and gradients."""
    decoder = keras.Sequential(
        [layers.Dense(4 * (2 if distribution == "discretized_logistic" else 1)), layers.Reshape((2, 2, -1))]
    )
    model = VariationalAutoencoder((2, 2, 1), 2, "dense", decoder, width=4, decoder_distribution=distribution)
    decoder.layers[0].bias.assign(decoder.layers[0].bias + 1e3)
    model.compile(keras.optimizers.SGD(1e-9))
    history = model.fit(np.zeros((4, 2, 2, 1), "float32"), verbose=0).history["loss"]
    assert np.isfinite(history).all()
    assert all(np.isfinite(ops.convert_to_numpy(v)).all() for v in model.trainable_variables)
