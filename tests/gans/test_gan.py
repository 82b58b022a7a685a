import json
import math
import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasgen import GAN, GANOptimizer, backend
from kerasgen.errors import InputError
from kerasgen.gans import gan
from kerasgen.gans.augmentation import AUGMENTATIONS
from kerasgen.gans.losses import LOSSES
from kerasgen.gans.penalties import R1, GradientPenalty
from kerasgen.networks.discriminators import ConvDiscriminator
from kerasgen.networks.generators import ConvGenerator
from kerasgen.networks.layers.conditional_batch_normalization import ConditionalBatchNormalization
from kerasgen.networks.layers.minibatch_stddev import MinibatchStandardDeviation
from kerasgen.networks.layers.spectral_normalization import SpectralNormalization
from tests.model_case import ModelCase, assert_same

GENERATOR = {"class": "conv", "width": 8}
DISCRIMINATOR = {"class": "conv", "width": 8}


def adams():
    """With an averaged generator, for the players run after each other in circles."""
    rates = {"learning_rate": 1e-3, "beta_1": 0.5, "beta_2": 0.99}
    averaged = keras.optimizers.Adam(**rates, use_ema=True, ema_momentum=0.98)
    return GANOptimizer(averaged, keras.optimizers.Adam(**rates))


def numpy_of(tensor):
    """Without its gradient, which PyTorch asks for."""
    return ops.convert_to_numpy(ops.stop_gradient(tensor))


class GANCase(ModelCase):
    """Of a game there is no loss that falls."""

    arguments = {}  # noqa: RUF012

    def make(self, **arguments):
        defaults = {"shape": (8, 8, 1), "latent_dim": 4, "num_classes": self.num_classes}
        defaults |= {"generator": GENERATOR, "discriminator": DISCRIMINATOR}
        return GAN(**defaults | self.arguments | arguments)

    def compile_plainly(self, model):
        model.compile(GANOptimizer(keras.optimizers.SGD(1e-3), keras.optimizers.SGD(1e-3)))

    def test_training_lowers_the_loss(self, images):
        """Against a generator that does not move, the discriminator tells real from fake."""
        x, y = images
        model = self.make()
        model.compile(GANOptimizer(keras.optimizers.SGD(0.0), keras.optimizers.Adam(1e-3)))
        before = model.evaluate(x, self.labels(y), verbose=0, return_dict=True)
        self.long_fit(model, images, 40)
        after = model.evaluate(x, self.labels(y), verbose=0, return_dict=True)
        assert set(before) == set(after) < set(model.loss_names)
        assert np.isfinite(list(after.values())).all()
        assert after["real_logit"] > after["fake_logit"] + 0.1

    def test_mixed_precision(self, images):
        x, y = images
        model = self.make(dtype="mixed_bfloat16")
        model.compile(adams())
        logs = model.fit(x, self.labels(y), batch_size=16, epochs=2, verbose=0).history
        assert np.isfinite([values[-1] for values in logs.values()]).all()
        assert np.isfinite(model.sample(2, seed=0)).all()
        half = self.make(dtype="mixed_float16")
        assert np.isfinite(half.sample(2, seed=0)).all()
        with pytest.raises(InputError, match="train it with mixed_bfloat16"):
            half.compile()

    def test_decoding(self):
        model = self.make()
        labels = None if self.num_classes is None else [0, 1]
        z = np.zeros((2, 4), np.float32)
        assert model.decode(z, labels).shape == (2, 8, 8, 1)
        for bad in (np.zeros((2, 5)), np.zeros(4), np.full((2, 4), np.nan)):
            with pytest.raises(InputError, match="latents"):
                model.decode(bad, labels)


class TestGAN(GANCase):
    arguments = {"loss": "least_squares", "penalty": {"class": "r1", "weight": 0.1, "interval": 2}}  # noqa: RUF012


class TestWassersteinGAN(GANCase):
    arguments = {  # noqa: RUF012
        "loss": "wasserstein",
        "penalty": "gradient_penalty",
        "discriminator_steps": 2,
        "discriminator": DISCRIMINATOR | {"normalization": "layer"},
    }

    def test_samples_become_like_the_data(self, images):
        x, _ = images
        model = self.make()
        model.compile(adams())

        def distance():
            model.prepare_sampling(x)
            return np.abs(model.sample(64, seed=0).mean(axis=0) - x.mean(axis=0) / 255.0).mean()

        before = distance()
        self.long_fit(model, images, 240)
        assert distance() < 0.6 * before


class TestConditionalGAN(GANCase):
    num_classes = 4
    arguments = {"loss": "hinge"}  # noqa: RUF012


class TestDenseGAN(GANCase):
    arguments = {"generator": {"class": "dense", "width": 64}, "discriminator": {"class": "dense", "width": 64}}  # noqa: RUF012


@pytest.mark.parametrize(
    "arguments",
    [
        {"loss": "non_saturating", "penalty": "r1", "discriminator": DISCRIMINATOR | {"minibatch_stddev": True}},
        {"loss": "hinge", "augmentation": ["color", "translation", "cutout"]},
        {
            "loss": "hinge",
            "num_classes": 4,
            "generator": GENERATOR | {"residual": True, "spectral": True, "attention": [0]},
            "discriminator": DISCRIMINATOR | {"residual": True, "normalization": "spectral", "attention": [1]},
        },
        {"loss": "wasserstein", "penalty": "r1", "discriminator": DISCRIMINATOR | {"normalization": "spectral"}},
        {"num_classes": 4, "discriminator": DISCRIMINATOR | {"residual": True, "normalization": "layer"}},
        {"num_classes": 4, "generator": {"class": "dense"}, "discriminator": {"class": "dense"}},
    ],
)
def test_kinds(images, arguments):
    """Every loss, penalty and normalization trains: all weights move, all statistics too."""
    x, y = images
    model = GAN(
        **{"shape": (8, 8, 1), "latent_dim": 4, "generator": GENERATOR, "discriminator": DISCRIMINATOR} | arguments
    )
    # Fast enough that logits leave the margin of the hinge losses, within which these are differences of means too.
    model.compile(GANOptimizer(*(keras.optimizers.Adam(1e-2) for _ in range(2))))
    variables = (*model.trainable_variables, *model.discriminator.non_trainable_variables)
    before = [ops.convert_to_numpy(v) for v in variables]
    logs = model.fit(x, y if model.num_classes else None, batch_size=16, epochs=3, verbose=0).history
    assert set(logs) == set(model.loss_names)
    assert np.isfinite([values[-1] for values in logs.values()]).all()
    still = [
        v.path for v, value in zip(variables, before, strict=True) if np.array_equal(ops.convert_to_numpy(v), value)
    ]
    # A constant added to all logits changes no difference of means.
    assert still == (["discriminator/out/bias"] if arguments.get("loss") == "wasserstein" else [])


# The game


def test_losses():
    """Against their definitions in terms of probabilities and targets."""
    real, fake = (np.random.default_rng(i).standard_normal(9).astype(np.float32) for i in range(2))
    probability = lambda logit: 1.0 / (1.0 + np.exp(-logit))  # noqa: E731
    expected = {
        "non_saturating": (-np.log(probability(real)) - np.log(1.0 - probability(fake)), -np.log(probability(fake))),
        "least_squares": (0.5 * (real - 1.0) ** 2 + 0.5 * fake**2, 0.5 * (fake - 1.0) ** 2),
        "hinge": (np.maximum(0, 1 - real) + np.maximum(0, 1 + fake), -fake),
        "wasserstein": (fake - real, -fake),
    }
    assert set(expected) == set(LOSSES)
    for name, (discriminator, generator) in expected.items():
        loss = LOSSES[name]()
        assert_same(loss.discriminator(ops.convert_to_tensor(real), ops.convert_to_tensor(fake)), discriminator)
        assert_same(loss.generator(ops.convert_to_tensor(fake)), generator)


def test_penalties_of_a_linear_critic():
    """Its gradient is w everywhere: (|w| - 1)^2 and |w|^2 / 2."""
    rng = np.random.default_rng(0)
    w = rng.standard_normal((8, 8, 1)).astype(np.float32)
    real, fake = (ops.convert_to_tensor(rng.standard_normal((5, 8, 8, 1)), "float32") for _ in range(2))
    uniform = ops.convert_to_tensor(rng.random((5, 1, 1, 1)), "float32")
    critic = lambda x: ops.sum(x * ops.convert_to_tensor(w), axis=(1, 2, 3))  # noqa: E731
    norm = np.linalg.norm(w)
    found = numpy_of(GradientPenalty().losses(critic, real, fake, uniform))
    np.testing.assert_allclose(found, np.full(5, (norm - 1.0) ** 2), rtol=1e-6)
    found = numpy_of(R1().losses(critic, real, fake, uniform))
    np.testing.assert_allclose(found, np.full(5, 0.5 * norm**2), rtol=1e-6)


def test_gradient_penalty_of_a_random_critic():
    """As torch.autograd has it, and so are its derivatives in the critic's weights."""
    torch = pytest.importorskip("torch")
    model = GAN((6,), latent_dim=2, discriminator={"class": "dense", "width": 16, "depth": 2})
    rng = np.random.default_rng(0)
    for v in model.discriminator.trainable_variables:
        v.assign(rng.standard_normal(v.shape) / 2.0)
    real, fake, uniform = (rng.random(shape).astype(np.float32) for shape in ((7, 6), (7, 6), (7, 1)))
    variables = model.discriminator.trainable_variables

    def mean_penalty():
        tensors = (ops.convert_to_tensor(a) for a in (real, fake, uniform))
        losses = GradientPenalty().losses(lambda x: model.logits(x, None), *tensors)
        return ops.mean(losses), losses

    (_, losses), gradients = backend.value_and_grad(mean_penalty, variables)

    weights = [torch.tensor(ops.convert_to_numpy(v), requires_grad=True) for v in variables]
    x = torch.tensor(uniform * real + (1.0 - uniform) * fake, requires_grad=True)
    h = x
    for kernel, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        h = torch.nn.functional.leaky_relu(h @ kernel + bias, 0.2)
    logits = (h @ weights[-2] + weights[-1]).sum()
    (slope,) = torch.autograd.grad(logits, x, create_graph=True)
    expected = (slope.norm(dim=1) - 1.0) ** 2
    expected.mean().backward()
    assert_same(numpy_of(losses), expected.detach().numpy())
    for found, weight in zip(gradients, weights, strict=True):
        assert_same(found, np.zeros(weight.shape) if weight.grad is None else weight.grad.numpy())
    assert max(np.abs(ops.convert_to_numpy(g)).max() for g in gradients) > 1e-3


def test_a_player_moves_alone(images):
    """With the other's learning rate 0, the other's weights stay to the bit, and its optimizer counts on."""
    model = GAN((8, 8, 1), 4, GENERATOR, DISCRIMINATOR, discriminator_steps=3)
    model.compile(GANOptimizer(keras.optimizers.SGD(1e-3), keras.optimizers.SGD(1e-3)))
    names = ("generator", "discriminator")
    variables = {name: getattr(model, name).trainable_variables for name in names}
    for epoch, player in enumerate(names, 1):
        for name in names:
            getattr(model.optimizer, name).learning_rate = 1e-3 if name == player else 0.0
        before = {name: [ops.convert_to_numpy(v) for v in values] for name, values in variables.items()}
        model.fit(images[0], batch_size=16, epochs=1, verbose=0)
        for name in names:
            after = [ops.convert_to_numpy(v) for v in variables[name]]
            moved = [np.abs(a - b).max() for a, b in zip(after, before[name], strict=True)]
            assert (max(moved) > 0.0) == (name == player)
        assert [int(getattr(model.optimizer, name).iterations) for name in names] == [2 * epoch, 6 * epoch]
        assert int(model.optimizer.iterations) == 2 * epoch


def test_optimizers_survive(images, tmp_path):
    """Both, with what they average."""
    model = GAN((8, 8, 1), 4, GENERATOR, DISCRIMINATOR)
    model.compile()
    model.fit(images[0], batch_size=16, epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert len(again.optimizer.variables) == len(model.optimizer.variables)
    for a, b in zip(again.optimizer.variables, model.optimizer.variables, strict=True):
        assert_same(a, b, 0)
    results = []
    for one in (model, again):
        one.seed_generator.state.assign([0, 0])
        one.fit(images[0], batch_size=16, epochs=1, shuffle=False, verbose=0)
        results.append(one.get_weights())
    for a, b in zip(*results, strict=True):
        assert_same(a, b)


def test_warns_of_collapse(images, monkeypatch):
    monkeypatch.setattr(gan, "SETTLED", 1)
    model = GAN((8, 8, 1), 4, {"class": "dense"}, {"class": "dense"}, collapse_fraction=1e6)
    model.compile()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(images[0], verbose=0)
    assert any("collapsed" in str(warning.message) for warning in caught)


def test_truncation():
    model = GAN((8, 8, 1), 3, {"class": "dense"}, {"class": "dense"})
    z = model.draw_latents(0, 4000, 0, 1.0)
    cut = model.draw_latents(0, 4000, 0, 1.0, truncation=0.7)
    assert np.abs(cut).max() < 0.7 < np.abs(z).max()
    np.testing.assert_array_equal(np.sign(cut), np.sign(z))
    # The variance of a truncated normal in closed form.
    t = 0.7
    density, mass = math.exp(-0.5 * t * t) / math.sqrt(2.0 * math.pi), math.erf(t / math.sqrt(2.0))
    assert cut.var() == pytest.approx(1.0 - 2.0 * t * density / mass, rel=0.03)
    assert model.sampling_config(truncation=0.7)["truncation"] == 0.7
    assert_same(model.sample(2, seed=0, truncation=50.0), model.sample(2, seed=0), 1e-4)


# Layers and networks


def test_spectral_normalization():
    """The estimate converges to the largest singular value, and the layer's gain is then 1."""
    layer = layers.Dense(6, use_bias=False)
    layer.build((None, 9))
    normal = SpectralNormalization(layer)
    normal.u.assign(np.random.default_rng(0).standard_normal(6))
    x = np.zeros((1, 9), np.float32)
    for _ in range(200):
        normal(x, training=True)
    largest = np.linalg.svd(ops.convert_to_numpy(layer.kernel), compute_uv=False)[0]
    assert numpy_of(normal.sigma()) == pytest.approx(largest, rel=1e-4)
    matrix = numpy_of(normal(np.eye(9, dtype=np.float32)))
    assert np.linalg.svd(matrix, compute_uv=False)[0] == pytest.approx(1.0, rel=1e-4)
    with pytest.raises(InputError, match="without bias"):
        SpectralNormalization(layers.Dense(3))


def test_conditional_batch_normalization():
    """In training mean 0 and variance 1 before each class scales and shifts its own."""
    layer = ConditionalBatchNormalization(3, 2)
    rng = np.random.default_rng(0)
    kernel = rng.standard_normal((2, 6)).astype(np.float32)
    layer.classes.kernel.assign(kernel)
    x = rng.normal(2.0, 3.0, (10, 4, 4, 3)).astype(np.float32)
    one_hot = np.eye(2, dtype=np.float32)[np.arange(10) % 2]
    y = ops.convert_to_numpy(layer(x, one_hot, training=True))
    normal = (x - x.mean(axis=(0, 1, 2))) / np.sqrt(x.var(axis=(0, 1, 2)) + 1e-5)
    scale, shift = np.split((one_hot @ kernel)[:, None, None], 2, axis=-1)
    assert_same(y, normal * (1.0 + scale) + shift, 1e-4)


def test_minibatch_standard_deviation():
    x = np.random.default_rng(0).standard_normal((5, 2, 3, 4)).astype(np.float32)
    y = ops.convert_to_numpy(MinibatchStandardDeviation()(x))
    assert_same(y[..., :4], x)
    assert_same(y[..., 4], np.full((5, 2, 3), x.std(axis=0).mean()), 1e-4)


def test_augmentations():
    """Translations keep what stays inside, cut-outs cover half of each side, colours keep the image's shape."""
    rng = np.random.default_rng(0)
    uniform = lambda shape: ops.convert_to_tensor(rng.random(tuple(map(int, shape))), "float32")  # noqa: E731
    x = ops.convert_to_tensor(rng.random((40, 16, 16, 3)) + 1.0, "float32")
    moved = ops.convert_to_numpy(AUGMENTATIONS["translation"](x, uniform))
    rows = (moved != 0).any(axis=(2, 3)).sum(axis=1)
    assert set(rows) == {14, 15, 16}
    for image, before in zip(moved, ops.convert_to_numpy(x), strict=True):
        assert any(
            np.allclose(image, np.pad(before, ((2, 2), (2, 2), (0, 0)))[2 - a : 18 - a, 2 - b : 18 - b])
            for a in range(-2, 3)
            for b in range(-2, 3)
        )
    cut = ops.convert_to_numpy(AUGMENTATIONS["cutout"](x, uniform)) == 0
    assert cut.sum(axis=(1, 2)).max() == 64
    assert cut.any(axis=0).all()
    colored = ops.convert_to_numpy(AUGMENTATIONS["color"](x, uniform))
    for image, before in zip(colored, ops.convert_to_numpy(x), strict=True):
        gray, gray_before = (a.mean(axis=-1).ravel() for a in (image, before))
        assert np.corrcoef(gray, gray_before)[0, 1] == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("shape", [(28, 28, 1), (33, 20, 3), (64, 64, 3), (5, 5, 1)])
@pytest.mark.parametrize("residual", [False, True])
def test_one_definition_for_all_sizes(shape, residual):
    x = ConvGenerator(6, shape, width=4, residual=residual)(np.zeros((2, 6), np.float32))
    assert tuple(x.shape) == (2, *shape)
    assert tuple(ConvDiscriminator(shape, width=4, residual=residual)(x).shape) == (2,)


def test_networks_of_the_user(images, tmp_path):
    x, y = images
    z, label = keras.Input((4,)), keras.Input((4,))
    h = layers.Dense(32, "relu")(layers.Concatenate()([z, label]))
    generator = keras.Model([z, label], layers.Reshape((8, 8, 1))(layers.Dense(64, "tanh")(h)))
    image = keras.Input((8, 8, 1))
    h = layers.Dense(32, "relu")(layers.Concatenate()([layers.Flatten()(image), label]))
    discriminator = keras.Model([image, label], layers.Reshape(())(layers.Dense(1)(h)))
    model = GAN((8, 8, 1), 4, generator, discriminator, num_classes=4)
    model.compile()
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model")
    again = keras.saving.load_model(tmp_path / "model")
    assert json.loads(json.dumps(again.get_config())) == json.loads(json.dumps(model.get_config()))
    assert_same(again.sample(4, seed=0), model.sample(4, seed=0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": "mse"}, "hinge"),
        ({"loss": {"class": "hinge", "margin": 2}}, "does not fit 'hinge'"),
        ({"penalty": "r2"}, "r1"),
        ({"penalty": {"class": "r1", "interval": 0}}, "interval"),
        ({"penalty": 3}, "int"),
        ({"discriminator_steps": 0}, "discriminator_steps"),
        ({"augmentation": ["flip"]}, "cutout"),
        ({"latent_dim": 0}, "latent_dim"),
        ({"generator": {"class": "UNet"}}, "conv"),
        ({"generator": {"class": "conv", "depth": 3}}, "does not fit 'conv'"),
        ({"generator": 3}, "Keras layer"),
        ({"discriminator": DISCRIMINATOR | {"normalization": "batch"}}, "spectral"),
        ({"discriminator": keras.Sequential([keras.Input((9, 9, 1)), layers.Flatten()])}, "8, 8, 1"),
        ({"discriminator": keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten()])}, r"needs \(\)"),
        ({"shape": (2,), "discriminator": DISCRIMINATOR}, "use 'dense' for vectors"),
        ({"shape": (2,), "augmentation": ["color"]}, "augmentation"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        GAN(**{"shape": (8, 8, 1), "latent_dim": 4} | arguments)


def test_bad_calls():
    model = GAN((8, 8, 1), 4, GENERATOR, DISCRIMINATOR)
    for call, message in [
        (lambda: model.sample(2, truncation=0.0), "truncation"),
        (lambda: model.sample(2, steps=3), "no setting 'steps'"),
        (lambda: model.sample(2, labels=[0, 1]), "not class-conditional"),
    ]:
        with pytest.raises(InputError, match=message):
            call()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    ("beta_1", "arguments"),
    [
        (0.5, {"loss": "non_saturating", "penalty": {"class": "r1", "weight": 0.1}}),
        (
            0.0,
            {"loss": "wasserstein", "penalty": {"class": "gradient_penalty", "weight": 0.1}, "discriminator_steps": 5},
        ),
    ],
)
def test_ring_of_gaussians(beta_1, arguments, seed):
    """Eight modes of standard deviation 0.02 on a circle of radius 1: all are found, 90 % of samples within 3 sigma."""
    rng = np.random.default_rng(seed)
    angles = 2.0 * math.pi * np.arange(8) / 8
    centers = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    x = (centers[rng.integers(0, 8, 25_600)] + 0.02 * rng.standard_normal((25_600, 2))).astype(np.float32)
    keras.utils.set_random_seed(seed)
    network = {"class": "dense", "width": 128, "depth": 3}
    model = GAN((2,), 2, network, network, seed=seed, **arguments)
    rates = {"learning_rate": 1e-3, "beta_1": beta_1, "beta_2": 0.99}
    averaged = keras.optimizers.Adam(**rates, use_ema=True, ema_momentum=0.99)
    model.compile(GANOptimizer(averaged, keras.optimizers.Adam(**rates)))
    model.fit(x, batch_size=256, epochs=30, verbose=0)
    drawn = model.sample(2000, seed=0)
    distances = np.linalg.norm(drawn[:, None] - centers[None], axis=-1)
    near = distances.min(axis=1) < 3 * 0.02
    shares = np.bincount(distances.argmin(axis=1)[near], minlength=8) / len(drawn)
    assert near.mean() >= 0.9
    assert (shares > 0.03).all()
