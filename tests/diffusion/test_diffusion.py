import warnings

import keras
import numpy as np
import pytest
from keras import ops

from kerasgen import Autoencoder, DiffusionModel, FlowMatching, LatentDiffusion, VariationalAutoencoder
from kerasgen.diffusion.samplers import DDIM, SAMPLERS
from kerasgen.errors import InputError
from tests.model_case import LatentCase, assert_same, long_fit

DIT = {"class": "DiT", "width": 16, "depth": 1, "heads": 2, "patch": 2}


class TestDiffusionModel(LatentCase):
    float16_arguments = {}  # noqa: RUF012

    def make(self, **arguments):
        defaults = {"shape": (8, 8, 1), "num_classes": self.num_classes, "network": DIT}
        return DiffusionModel(**defaults | arguments)


class TestFlowMatching(LatentCase):
    num_classes = 4
    float16_arguments = {}  # noqa: RUF012

    def make(self, **arguments):
        defaults = {"shape": (8, 8, 1), "num_classes": self.num_classes, "network": DIT}
        return FlowMatching(**defaults | arguments)

    def test_guidance(self, trained):
        """1 tells the label, 0 does not, and between and beyond it is linear in the estimate."""
        model = trained
        x = model.sample(4, seed=0, steps=1, guidance=1.0, clip=False)
        again = model.sample(4, seed=0, steps=1)
        assert_same(x, again)
        none = model.sample(4, seed=0, steps=1, guidance=0.0, clip=False)
        more = model.sample(4, seed=0, steps=1, guidance=1.5, clip=False)
        inside = (more > 0) & (more < 1) & (none > 0) & (none < 1) & (x > 0) & (x < 1)
        assert inside.any()
        assert_same(more[inside], (none + 1.5 * (x - none))[inside])
        other = model.sample(4, labels=[1, 1, 1, 1], seed=0, steps=1, guidance=0.0)
        assert_same(other, none)


class TestLatentDiffusion(LatentCase):
    num_classes = 4
    float16_arguments = {}  # noqa: RUF012

    def make(self, **arguments):
        small = {"width": 8, "encoder": "dense", "decoder": "dense"}
        shape = arguments.pop("shape", (8, 8, 1))
        autoencoder = VariationalAutoencoder(shape=shape, latent_dim=3, num_classes=4, **small)
        denoiser = {"class": "FlowMatching", "network": {"class": "MLP", "width": 64, "depth": 1}}
        return LatentDiffusion(num_classes=4, autoencoder=autoencoder, denoiser=denoiser, **arguments)


def test_latent_diffusion_says_that_its_encoder_has_changed(images, tmp_path):
    x, _ = images
    autoencoder = Autoencoder(shape=(8, 8, 1), latent_dim=2, width=4, encoder="dense", decoder="dense")
    model = LatentDiffusion(autoencoder, {"class": "FlowMatching", "network": {"class": "MLP", "width": 8}})
    model.compile()
    model.fit(x, verbose=0)
    model.sample(2, verbose=0)
    autoencoder.trainable = True
    autoencoder.compile(keras.optimizers.SGD(1e-2))
    autoencoder.fit(x, verbose=0)
    autoencoder.trainable = False
    for call in (lambda: model.sample(2, verbose=0), lambda: model.encode(x, verbose=0)):
        with pytest.raises(InputError, match=r"encoder has changed .* call fit"):
            call()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.save(tmp_path / "stale")
    assert any("encoder has changed" in str(warning.message) for warning in caught)
    model.fit(x, verbose=0)
    z = model.autoencoder.encode(x, verbose=0)
    assert_same(keras.ops.convert_to_numpy(model.latent_mean), z.mean(axis=0), 1e-4)
    model.sample(2, verbose=0)
    weights = model.get_weights()
    other = LatentDiffusion.from_config(model.get_config())
    other.sample(2, verbose=0)
    other.set_weights(weights)  # all of them together are of each other
    assert_same(other.sample(2, seed=0, verbose=0), model.sample(2, seed=0, verbose=0))


def test_latent_diffusion_leaves_the_autoencoder_alone(images, tmp_path):
    x, y = images
    autoencoder = Autoencoder(shape=(8, 8, 1), latent_dim=2, width=16, encoder="dense", decoder="dense")
    autoencoder.compile(keras.optimizers.Adam(1e-2))
    long_fit(autoencoder, x, None, 100)
    autoencoder.fit_density(x)
    made = LatentDiffusion(
        num_classes=4,
        autoencoder=autoencoder,
        denoiser={"class": "DiffusionModel", "network": {"class": "MLP", "width": 64, "depth": 2}},
    )
    before = made.autoencoder.get_weights()
    made.compile(keras.optimizers.Adam(5e-3))
    long_fit(made, x, y, 250)
    for a, b in zip(before, made.autoencoder.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    z = made.run(made.latents, 32, lambda start, stop: [x[start:stop], y[start:stop]])
    assert_same(z.mean(axis=0), np.zeros(2), 0.1)  # of 1,024 draws among the 32
    # The square is where the label says.
    drawn = made.sample(40, seed=0).reshape(40, 2, 4, 2, 4).mean(axis=(2, 4)).reshape(40, 4)
    assert (drawn.argmax(axis=1) == np.arange(40) % 4).mean() > 0.7  # 0.25 by chance
    noise = np.random.default_rng(0).integers(0, 256, x.shape, dtype=np.uint8)
    assert made.anomaly_score(noise, y).mean() > made.anomaly_score(x, y).mean()
    # The whole is one checkpoint.
    made.save(tmp_path / "model")
    again = keras.saving.load_model(tmp_path / "model")
    assert_same(again.sample(4, seed=0), made.sample(4, seed=0))
    for arguments, message in [
        ({"autoencoder": made.denoiser}, "DiffusionModel; expected an Autoencoder"),
        ({"autoencoder": "vae-mnist"}, "the name 'vae-mnist'; expected an Autoencoder"),
        ({"autoencoder": autoencoder, "shape": (8, 8, 3)}, r"the autoencoder's is \(8, 8, 1\)"),
        ({"autoencoder": autoencoder, "denoiser": {"class": "GAN"}}, "GAN"),
        ({"autoencoder": autoencoder, "denoiser": made.denoiser}, r"attributes None; the latents need \(2,\), None"),
    ]:
        with pytest.raises(InputError, match=message):
            LatentDiffusion(**arguments)


def model(**arguments):
    return DiffusionModel(**{"shape": (8, 8, 1), "network": DIT} | arguments)


def test_samplers_options_and_uses(images):
    x = images[0][:4]
    made = model(num_steps=50)
    made.compile()
    made.fit(images[0], epochs=2, verbose=0)
    for sampler in (*SAMPLERS, DDIM(eta=0.5)):
        drawn = made.sample(3, seed=1, sampler=sampler, steps=4)
        assert np.isfinite(drawn).all(), sampler
        assert_same(made.sample(2, seed=1, sampler=sampler, steps=4), drawn[:2])
    path = made.sample(2, seed=1, steps=5, intermediates=True)
    assert path.shape == (2, 6, 8, 8, 1)
    assert_same(path[:, -1], made.sample(2, seed=1, steps=5))
    assert made.sample(1, steps=2, image_size=(6, 12)).shape == (1, 6, 12, 1)
    seen = []
    made.sample(2, steps=3, callback=seen.append)
    assert seen == [1, 2, 3]
    # What is kept is kept; what is drawn anew depends on the seed.
    mask = np.zeros((8, 8), bool)
    mask[:, 4:] = True
    filled = made.inpaint(x, mask, seed=0, steps=5)
    assert_same(filled[:, :, :4], x[:, :, :4] / 255.0)
    assert np.abs(filled - made.inpaint(x, mask, seed=1, steps=5))[:, :, 4:].max() > 1e-3
    # The weaker an edit, the nearer to what was there.
    errors = [np.square(made.edit(x, s, seed=0, steps=10) - x / 255.0).mean() for s in (0.1, 0.5, 1.0)]
    assert errors == sorted(errors)


@pytest.mark.parametrize(
    "arguments",
    [
        {"schedule": "linear", "prediction": "epsilon", "loss": "min_snr"},
        {"schedule": "sigmoid", "prediction": "x0", "loss": "edm", "num_steps": None},
        {"schedule": "cosine", "zero_terminal_snr": True, "self_conditioning": True},
        {"schedule": "edm", "num_steps": None, "loss": "edm", "sigma_data": 0.5},
    ],
)
def test_kinds(images, arguments):
    made = model(**arguments)
    made.compile(keras.optimizers.Adam(3e-3))
    losses = long_fit(made, images[0], None, 15, epochs=2).history["loss"]
    assert losses[1] < losses[0]
    for spacing in ("trailing", "karras"):
        assert np.isfinite(made.sample(2, seed=0, steps=5, spacing=spacing)).all()


@pytest.mark.parametrize("arguments", [{"times": "uniform"}, {"optimal_transport": True}, {"prediction": "x0"}])
def test_kinds_of_flow_matching(images, arguments):
    made = FlowMatching(shape=(8, 8, 1), network=DIT, **arguments)
    made.compile(keras.optimizers.Adam(3e-3))
    long_fit(made, images[0], None, 10)
    assert np.isfinite(made.sample(2, seed=0, steps=5)).all()


def test_flow_matching_of_a_network_that_says_x0():
    """A network that says 0 is right for data that are 0: every line leads there, in any number of steps."""
    made = FlowMatching((5,), network={"class": "MLP", "width": 4, "depth": 1}, prediction="x0", label_dropout=0.0)
    made.network.set_weights([np.zeros_like(weight) for weight in made.network.get_weights()])
    x, s = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32), np.array([0.01, 0.3, 1.0], np.float32)
    velocity = ops.convert_to_numpy(
        made.network_output(ops.convert_to_tensor(x), ops.convert_to_tensor(1000.0 * s), made.condition_for(None))
    )
    assert_same(velocity, -x / np.maximum(s, 0.05)[:, None])
    for sampler in ("dpm++", "heun"):
        assert_same(made.sample(8, seed=0, sampler=sampler, steps=4), 0.0, 2e-2)


@pytest.mark.parametrize("family", [DiffusionModel, FlowMatching])
def test_super_resolution(images, family):
    """Sizes are right, small images decide what is drawn, and nothing else is to be had of such a model."""
    x, _ = images
    made = family(shape=(8, 8, 1), network=DIT, super_resolution=2)
    made.compile(keras.optimizers.Adam(1e-2))
    long_fit(made, x, None, 100)
    small = made.downscale(x)
    assert small.dtype == np.uint8
    assert np.abs(small - x.reshape(32, 4, 2, 4, 2, 1).mean(axis=(2, 4))).max() <= 0.5
    np.testing.assert_allclose(made.downscale(x / np.float32(255.0)), small, atol=1)  # halves go either way
    large = made.upscale(small, seed=0, steps=10)
    assert large.shape == (32, 8, 8, 1)
    assert np.abs(large.reshape(32, 4, 2, 4, 2, 1).mean(axis=(2, 4)) - small / 255.0).mean() < 0.06
    assert_same(made.upscale(small[:3], seed=0, steps=10), large[:3])
    assert np.isfinite(made.log_prob(x[:4], num_evaluations=4)).all()
    again = family.from_config(made.get_config())
    again.set_weights(made.get_weights())
    assert_same(again.upscale(small[:3], seed=0, steps=10), large[:3])
    for call, message in [
        (lambda: made.sample(2), "call upscale"),
        (lambda: made.reconstruct(x), "call upscale"),
        (lambda: made.upscale(x), r"shape \(32, 8, 8, 1\)"),
        (lambda: model().upscale(small), "does not upscale; what it offers: sample"),
        (lambda: model().downscale(x), "does not downscale"),
        (lambda: made.upscale(small, temperature=-1.0), "temperature"),
        (lambda: model(super_resolution=3), "does not divide"),
    ]:
        with pytest.raises(InputError, match=message):
            call()


@pytest.mark.parametrize("family", [DiffusionModel, FlowMatching])
def test_vectors(family):
    """Two clusters, one a class."""
    rng = np.random.default_rng(0)
    y = np.arange(2048) % 2
    x = (np.stack([2.0 * y - 1.0, 1.0 - 2.0 * y], axis=1) + 0.1 * rng.standard_normal((2048, 2))).astype(np.float32)
    made = family(shape=(2,), network={"class": "MLP", "width": 64, "depth": 2}, num_classes=2)
    made.compile(keras.optimizers.Adam(5e-3))
    made.fit(x, y, batch_size=128, epochs=20, verbose=0)
    drawn = made.sample(400, seed=0)
    assert (np.sign(drawn[:, 0]) == 2 * (np.arange(400) % 2) - 1).mean() > 0.95
    assert np.abs(drawn + drawn[:, ::-1]).mean() < 0.4
    assert made.encode(x[:8], y[:8]).shape == (8, 2)
    assert (made.log_prob(x[:64], y[:64]) > made.log_prob(-x[:64], y[:64]) + 5.0).all()
    assert made.inpaint(x[:4], [0, 1], y[:4], seed=0).shape == (4, 2)
    with pytest.raises(InputError, match="MLP, grid are for vectors"):
        family(shape=(2,), network={"class": "DiT"})
    with pytest.raises(InputError, match="models of images"):
        made.sample(1, image_size=(2, 2))


def test_transport_pairs_near_noise():
    """Images far apart, and noise around each of them: each gets its own."""
    made = FlowMatching(shape=(8, 8, 1), network=DIT, optimal_transport=True)
    x0 = 4.0 * np.random.default_rng(0).standard_normal((6, 8, 8, 1)).astype(np.float32)
    e = (x0 + 0.1)[::-1]
    paired = ops.convert_to_numpy(made.pair_noise(ops.convert_to_tensor(x0), ops.convert_to_tensor(e.copy())))
    assert_same(paired, x0 + 0.1)


def test_a_unet(images, tmp_path):
    """Trains, with classes and in bfloat16; is saved; sees any size that fits."""
    x, y = images
    unet = {"class": "UNet", "width": 8, "multipliers": [1], "blocks": 1}
    made = model(network=unet, num_classes=4, dtype="mixed_bfloat16")
    made.compile(keras.optimizers.Adam(3e-3))
    losses = long_fit(made, x, y, 10, epochs=2).history["loss"]
    assert losses[1] < losses[0]
    made.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert [v.path for v in again.variables] == [v.path for v in made.variables]
    assert_same(again.sample(2, seed=0, steps=2), made.sample(2, seed=0, steps=2))

    unet = {"class": "UNet", "width": 8, "multipliers": [1, 2], "blocks": 1, "attention": [1], "patch": 2}
    made = model(shape=(8, 16, 3), network=unet)
    assert made.sample(1, steps=1).shape == (1, 8, 16, 3)
    assert made.sample(1, steps=1, image_size=(12, 4)).shape == (1, 12, 4, 3)
    with pytest.raises(InputError, match="multiples of 4"):
        made.sample(1, steps=1, image_size=(10, 8))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"schedule": "quadratic"}, "cosine"),
        ({"prediction": "eps"}, "epsilon"),
        ({"loss": "mse"}, "min_snr"),
        ({"schedule": "edm"}, "num_steps=None"),
        ({"zero_terminal_snr": True, "prediction": "epsilon"}, "zero_terminal_snr"),
        ({"num_steps": 1}, "num_steps"),
        ({"label_dropout": 1.0}, "label_dropout"),
        ({"sigma_data": 0.0}, "sigma_data"),
        ({"network": {"class": "VNet"}}, "UNet"),
        ({"network": {"class": "UNet", "depth": 3}}, "does not fit 'UNet'"),
        ({"network": {"class": "UNet", "multipliers": [1, 1, 1, 1, 1]}}, "multiples of 16"),
        ({"network": {"class": "DiT", "patch": 3}}, "multiples of 3"),
        ({"network": 7}, "Keras layer"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        model(**arguments)


def test_bad_calls(images):
    made, x = model(num_steps=50), images[0][:2]
    for call, message in [
        (lambda: made.sample(1, steps=0), "steps"),
        (lambda: made.sample(1, steps=51), "50 levels"),
        (lambda: made.sample(1, sampler="plms"), "dpm"),
        (lambda: made.sample(1, sampler=3), "Sampler"),
        (lambda: made.sample(1, guidance=2.0), "no classes"),
        (lambda: made.sample(1, spacing="even"), "trailing"),
        (lambda: made.inpaint(x, np.zeros((8, 7))), r"\(8, 7\)"),
        (lambda: made.inpaint(x, np.full((8, 8), 0.5)), "other than 0"),
        (lambda: made.edit(x, strength=1.5), "strength"),
        (lambda: model(num_steps=50, zero_terminal_snr=True).sample(1, sampler="heun"), "pure noise"),
    ]:
        with pytest.raises(InputError, match=message):
            call()
