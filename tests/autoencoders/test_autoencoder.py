import keras
import numpy as np
import pytest
from scipy import stats
from sklearn.mixture import GaussianMixture

from kerasgen import Autoencoder, Classifier, PerceptualDistance, metrics
from kerasgen.autoencoders.mixture import fit_mixture, log_densities
from kerasgen.errors import InputError
from kerasgen.metrics.denoising import denoising
from kerasgen.recipes import Evaluation
from tests.model_case import LatentCase, long_fit


class TestAutoencoder(LatentCase):
    def make(self, **arguments):
        return Autoencoder(**{"shape": (8, 8, 1), "latent_dim": 3, "width": 8, "num_components": 2} | arguments)

    def ready(self, images, **arguments):
        """Trained for longer: at first all latents are near zero, and all samples nearly the same."""
        model = super().ready(images, **arguments)
        long_fit(model, images[0], None, 20)
        model.prepare_sampling(images[0])
        return model


def small(**arguments):
    return Autoencoder(**{"shape": (8, 8, 1), "latent_dim": 3, "width": 16, "num_components": 4} | arguments)


def test_loss_is_the_squared_error_and_the_penalty(images):
    x, _ = images
    model = small(latent_penalty=0.5)
    model.compile()
    result = model.evaluate(x, verbose=0, return_dict=True)
    z, error = model.encode(x), np.square(model.reconstruct(x) - x / 255.0)
    assert result["mean_squared_error"] == pytest.approx(error.mean(), rel=1e-4)
    expected = error.sum(axis=(1, 2, 3)).mean() + 0.25 * np.square(z).sum(axis=1).mean()
    assert result["loss"] == pytest.approx(expected, rel=1e-4)


def test_sampling_needs_a_density(images):
    model = small()
    with pytest.raises(InputError, match="fit_density"):
        model.sample(2)
    with pytest.raises(InputError, match="at least 4"):
        model.fit_density(images[0][:3])


def test_training_takes_the_density_away(images, tmp_path):
    """Each step moves the latents, of which the density was; what is saved then has none either."""
    x, _ = images
    model = small(encoder="dense", decoder="dense")
    model.compile()
    model.fit_density(x)
    drawn = model.sample(2, seed=0)
    model.save(tmp_path / "fresh")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "fresh").sample(2, seed=0), drawn)
    with pytest.raises(InputError):
        model.fit(x[..., 0])  # before the first step
    model.evaluate(x, verbose=0)
    np.testing.assert_array_equal(model.sample(2, seed=0), drawn)
    for train in (lambda: model.fit(x, verbose=0), lambda: model.train_on_batch(x)):
        train()
        model.save(tmp_path / "stale")
        for stale in (model, keras.saving.load_model(tmp_path / "stale")):
            with pytest.raises(InputError, match="training has changed them since: call fit_density"):
                stale.sample(2)
        model.fit_density(x)
        assert np.isfinite(model.sample(2)).all()


def classifier(**arguments):
    model = Classifier((8, 8, 1), 4, **{"backbone": "resnet", "width": 4} | arguments)
    rng = np.random.default_rng(3)
    for variable in model.trainable_variables:
        variable.assign(variable + 0.1 * rng.standard_normal(variable.shape))
    return model


def test_perceptual_distance_joins_the_loss(images):
    """Of feature maps of length 1 at each place; it is 0 between equal images, and lower once it was trained for."""
    x, _ = images
    judge = classifier()
    model = small(latent_penalty=0.0)
    model.compile(perceptual=PerceptualDistance(judge), perceptual_weight=3.0)
    found = model.evaluate(x, verbose=0, return_dict=True)
    real, made = x / np.float32(255.0), model.reconstruct(x)
    network = judge.feature_maps()
    assert [tuple(output.shape[1:]) for output in network.outputs] == [(8, 8, 4), (4, 4, 8), (2, 2, 16)]
    expected = 64 * found["mean_squared_error"]
    for f, g in zip(*(network.predict(2.0 * images - 1.0, verbose=0) for images in (real, made)), strict=True):
        f, g = (maps / np.sqrt(np.square(maps).sum(axis=-1, keepdims=True) + 1e-6) for maps in (f, g))
        expected += 3.0 * np.square(f - g).sum(axis=-1).mean()
    assert found["loss"] == pytest.approx(expected, rel=1e-3)
    same = PerceptualDistance(judge)(*[keras.ops.convert_to_tensor(real)] * 2)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(same), 0.0)
    before = judge.get_weights()
    long_fit(model, x, None, 30)
    assert model.evaluate(x, verbose=0, return_dict=True)["loss"] < 0.7 * found["loss"]
    for a, b in zip(before, judge.get_weights(), strict=True):  # it stays as it is, statistics and all
        np.testing.assert_array_equal(a, b)


def test_perceptual_distance_is_no_part_of_the_model(images, tmp_path):
    x, _ = images
    model = small()
    alone = [variable.path for variable in model.variables]
    model.compile(perceptual=PerceptualDistance(classifier()))
    assert [variable.path for variable in model.variables] == alone
    model.fit(x, verbose=0)
    model.save(tmp_path / "model")
    again = keras.saving.load_model(tmp_path / "model")
    np.testing.assert_array_equal(again.reconstruct(x), model.reconstruct(x))
    with pytest.raises(InputError, match="expected a PerceptualDistance"):
        small().compile(perceptual="resnet-celeba-attributes")
    model.compile(perceptual=PerceptualDistance(Classifier((8, 8, 3), 4, width=4)))
    with pytest.raises(InputError, match=r"of images of \(8, 8, 3\), not \(8, 8, 1\)"):
        model.evaluate(x, verbose=0)
    for wrong, message in ((model, "by a Classifier, not a Autoencoder"), (without_maps(), "has no feature maps")):
        with pytest.raises(InputError, match=message):
            PerceptualDistance(wrong)


def without_maps():
    return Classifier((8, 8, 1), 4, backbone=NoMaps())


class NoMaps(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(3)
        self.dense.build((None, 64))

    def call(self, x):
        return self.dense(keras.ops.reshape(x, (-1, 64)))


def test_uses(images):
    """Denoising removes noise, strange images score higher, compression costs little."""
    x, _ = images
    model = small(corruption={"class": "gaussian", "stddev": 0.1})
    model.compile(keras.optimizers.Adam(3e-3))
    long_fit(model, x, None, 150)
    clean = x / np.float32(255.0)
    noisy = np.clip(clean + 0.1 * np.random.default_rng(0).normal(size=clean.shape), 0, 1).astype("float32")
    assert np.square(model.denoise(noisy) - clean).mean() < 0.8 * np.square(noisy - clean).mean()
    beyond = (clean + 0.1 * np.random.default_rng(1).normal(size=clean.shape)).astype("float32")  # not clipped
    assert np.square(model.denoise(beyond) - clean).mean() < 0.8 * np.square(beyond - clean).mean()
    assert model.anomaly_score(255 - x).min() > 2.0 * model.anomaly_score(x).max()
    data = model.compress(x)
    assert len(data) < x.nbytes / 8
    restored = model.decompress(data)
    assert np.abs(restored - model.reconstruct(x)).max() < 0.05
    assert np.abs(model.decompress(model.compress(x, bits=4)) - restored).max() > 1e-3
    for bad in (data[:9], b"kgae", data[:-8], b"xxxx" + data[4:], "text"):
        with pytest.raises(InputError, match="compress"):
            model.decompress(bad)
    with pytest.raises(InputError, match="bits"):
        model.compress(x, bits=9)
    with pytest.raises(InputError, match="with a corruption"):
        small().denoise(x)


@pytest.mark.parametrize("kind, amount", [("gaussian", "stddev"), ("masking", "rate"), ("salt_and_pepper", "rate")])
def test_what_a_denoising_autoencoder_shows_and_measures(kind, amount, images):
    """Noise above, what is left of it below, the same each time; PSNR where the noise is Gaussian."""
    x = images[0]
    model = small(corruption={"class": kind, amount: [0.0, 0.2]}, num_components=0)
    (shown,) = model.exhibit(x, None, Evaluation())
    assert f"{kind.replace('_', ' ')}, {amount} 0.1" in shown.caption
    noisy, restored = np.split(shown.examples, 2)
    np.testing.assert_array_equal(noisy, np.split(model.exhibit(x, None, Evaluation())[0].examples, 2)[0])
    changed = np.square(noisy - x[: len(noisy)] / np.float32(255.0))
    if kind == "gaussian":
        assert 0.05**2 < changed.mean() < 0.1**2  # clipped
    else:
        assert 0.05 < (changed > 0).mean() < 0.15
    np.testing.assert_allclose(restored, model.denoise(noisy), atol=1e-6)
    assert ("denoising" in model.measures()) == (kind == "gaussian")
    if kind == "gaussian":
        figures = denoising(metrics.Evaluation(model, x, None, "test"))
        assert set(figures) == {"denoising_psnr/15", "denoising_psnr/25", "denoising_psnr/50"}


def blobs():
    rng = np.random.default_rng(0)
    means = np.array([[0.0, 0.0], [4.0, 1.0], [-3.0, 3.0]])
    factors = np.array([[[1.0, 0.0], [0.5, 0.5]], [[0.3, 0.0], [0.0, 1.0]], [[0.7, 0.0], [-0.6, 0.4]]])
    k = rng.choice(3, 3000, p=[0.5, 0.2, 0.3])
    return means[k] + np.einsum("nij,nj->ni", factors[k], rng.normal(size=(3000, 2)))


def test_mixture_against_scikit_learn():
    x = blobs()
    weights, means, factors = fit_mixture(x, 3, seed=0)
    log_p = np.logaddexp.reduce(log_densities(x, np.log(weights), means, factors), axis=1)
    reference = GaussianMixture(3, tol=1e-5, max_iter=500, random_state=0).fit(x)
    assert log_p.mean() == pytest.approx(reference.score(x), abs=2e-3)
    np.testing.assert_allclose(np.sort(weights), np.sort(reference.weights_), atol=0.02)
    column = log_densities(x[:5], np.log(weights), means, factors)[:, 1]
    expected = np.log(weights[1]) + stats.multivariate_normal(means[1], factors[1] @ factors[1].T).logpdf(x[:5])
    np.testing.assert_allclose(column, expected, rtol=1e-9)


def test_samples_follow_the_mixture():
    x = blobs()
    model = Autoencoder(shape=(4, 4, 1), latent_dim=2, encoder="dense", decoder="dense", width=4, num_components=3)
    model.density.assign(*fit_mixture(x, 3, seed=0))
    z = model.draw_latents(0, 3000, 1, np.float32(1.0))
    for direction in ([1, 0], [0, 1], [1, 1], [1, -1]):
        assert stats.ks_2samp(z @ direction, x @ direction).pvalue > 0.01


def test_mixture_of_few_distinct_points():
    weights, means, factors = fit_mixture(np.ones((10, 3)), 4, seed=0)
    assert np.isfinite(weights).all()
    np.testing.assert_allclose(means, 1.0)
    assert np.isfinite(factors).all()
