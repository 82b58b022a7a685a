"""`Pix2Pix` and `CycleGAN`."""

import json

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasgen import CycleGAN, GANOptimizer, Pix2Pix
from kerasgen.errors import InputError
from kerasgen.gans.cyclegan import EMPTY, ImagePool
from kerasgen.networks.translation import PatchDiscriminator, ResidualGenerator, UNetGenerator
from tests.model_case import assert_same

PATCH = {"class": "patch", "width": 8, "levels": 1}


def adams(rate=2e-3):
    return GANOptimizer(*(keras.optimizers.Adam(rate, beta_1=0.5) for _ in range(2)))


def weights(variables):
    return [ops.convert_to_numpy(variable) for variable in variables]


def moved(before, after):
    return [bool(np.abs(a - b).max() > 0) for a, b in zip(before, after, strict=True)]


def train(model, x, y, times):
    """Two steps for each of `times`; what was logged."""
    x, y = np.tile(x, (times, 1, 1, 1)), np.tile(y, (times, 1, 1, 1))
    return model.fit(x, y, batch_size=16, shuffle=False, verbose=0).history


class TranslatorCase:
    """Subclasses give `make(**arguments)`, a small model of 8 x 8 x 1 images."""

    def pairs(self, images):
        """Images, and the same in negative."""
        x, _ = images
        return x, 255 - x

    def test_translates_alike_whatever_the_batch_and_the_form(self, images):
        x, _ = images
        model = self.make()
        found = model.translate(x)
        assert found.shape == x.shape
        assert found.dtype == np.float32
        assert found.min() >= 0.0
        assert found.max() <= 1.0
        assert_same(model.translate(x, batch_size=5), found)
        assert_same(model.translate(x / np.float32(255.0)), found)

    def test_each_player_moves_alone(self, images):
        x, y = self.pairs(images)
        model = self.make()
        model.compile(GANOptimizer(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1)))
        for player, other in (("generator", "discriminator"), ("discriminator", "generator")):
            getattr(model.optimizer, player).learning_rate = 0.1
            getattr(model.optimizer, other).learning_rate = 0.0
            before = {name: weights(model.player_variables(name)) for name in (player, other)}
            model.fit(x, y, batch_size=16, verbose=0)
            assert any(moved(before[player], weights(model.player_variables(player))))
            assert not any(moved(before[other], weights(model.player_variables(other))))

    def test_saving(self, images, tmp_path):
        x, y = self.pairs(images)
        model = self.make()
        model.compile(adams())
        model.fit(x, y, batch_size=16, verbose=0)
        for form in ("model.keras", "folder"):
            model.save(tmp_path / form)
            again = keras.saving.load_model(tmp_path / form)
            assert_same(again.translate(x), model.translate(x))
            assert json.loads(json.dumps(again.get_config())) == json.loads(json.dumps(model.get_config()))
            assert [v.path for v in again.variables] == [v.path for v in model.variables]
            if form == "model.keras":
                for a, b in zip(again.optimizer.variables, model.optimizer.variables, strict=True):
                    assert_same(ops.convert_to_numpy(a), ops.convert_to_numpy(b))
                again.fit(x, y, batch_size=16, verbose=0)

    def test_datasets(self, images):
        tf = pytest.importorskip("tensorflow")
        x, y = self.pairs(images)
        dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(16)
        model = self.make()
        model.compile(GANOptimizer(keras.optimizers.SGD(1e-3), keras.optimizers.SGD(1e-3)))
        state = [*model.variables, *model.optimizer.variables]
        start, found = weights(state), []
        for data, settings in (((x, y), {"batch_size": 16, "shuffle": False}), ((dataset,), {})):
            for variable, value in zip(state, start, strict=True):
                variable.assign(value)
            model.fit(*data, **settings, verbose=0)
            found.append(weights(model.trainable_variables))
        for a, b in zip(*found, strict=True):
            assert_same(a, b)
        assert any(moved(start[: len(model.variables)], weights(model.variables)))
        with pytest.raises(InputError, match="pairs"):
            model.fit(tf.data.Dataset.from_tensor_slices(x).batch(16))

    def test_mixed_precision(self, images):
        x, y = self.pairs(images)
        model = self.make(dtype="mixed_bfloat16")
        model.compile(adams())
        model.fit(x, y, batch_size=16, verbose=0)
        assert np.isfinite(model.translate(x)).all()
        with pytest.raises(InputError, match="train it with mixed_bfloat16"):
            self.make(dtype="mixed_float16").compile()

    def test_bad_input(self, images):
        x, y = self.pairs(images)
        model = self.make()
        model.compile()
        cases = {
            "pairs": (x,),
            "32 and 31 images": (x, y[1:]),
            r"takes \[batch, 8, 8, 1\]": (x, np.repeat(y, 3, axis=-1)),
            r"shape \(32, 4, 8, 1\)": (x[:, :4], y),
        }
        for message, data in cases.items():
            with pytest.raises(InputError, match=message):
                model.fit(*data, verbose=0)
        with pytest.raises(InputError, match="shape"):
            model.translate(x[:, :4])
        for arguments, message in (
            ({"loss": "perceptual"}, "hinge"),
            ({"generator": {"class": "conv"}}, "residual"),
            ({"generator": {"class": "UNet", "depth": 3}}, "does not fit 'UNet'"),
            ({"discriminator": {"class": "patch", "levels": 4}}, "fewer levels"),
            ({"discriminator": {"class": "patch", "normalization": "batch"}}, "spectral"),
        ):
            with pytest.raises(InputError, match=message):
                self.make(**arguments)


class TestPix2Pix(TranslatorCase):
    def make(self, **arguments):
        defaults = {"shape": (8, 8, 1), "generator": {"class": "UNet", "width": 8}, "discriminator": PATCH}
        return Pix2Pix(**defaults | arguments)

    def test_learns_to_negate(self, images):
        x, y = self.pairs(images)
        model = self.make()
        model.compile(adams())
        before = np.abs(model.translate(x) - y / 255.0).mean()
        logs = train(model, x, y, 60)
        assert set(logs) == set(model.loss_names)
        assert np.isfinite([values[-1] for values in logs.values()]).all()
        assert np.abs(model.translate(x) - y / 255.0).mean() < 0.5 * before

    def test_other_channels(self, images):
        x, _ = images
        colour = np.repeat(x, 3, axis=-1)
        model = self.make(shape=(8, 8, 3), source_channels=1)
        model.compile()
        model.fit(x, colour, batch_size=16, verbose=0)
        assert model.translate(x).shape == (32, 8, 8, 3)
        with pytest.raises(InputError, match=r"takes \[batch, 8, 8, 1\]"):
            model.translate(colour)

    def test_losses_are_those_of_the_paper(self, images):
        """With a generator of zeros and a discriminator of the mean: known in closed form."""
        x, y = (batch / np.float32(255.0) for batch in self.pairs(images))
        inputs = keras.Input((8, 8, 1))
        zeros = keras.Model(inputs, layers.Conv2D(1, 1, kernel_initializer="zeros")(inputs))
        pairs = keras.Input((8, 8, 2))
        mean = layers.Conv2D(1, 1, kernel_initializer=keras.initializers.Constant([[[[0.0], [1.0]]]]))(pairs)
        judge = keras.Model(pairs, layers.Reshape((8, 8))(mean))
        model = Pix2Pix((8, 8, 1), generator=zeros, discriminator=judge, loss="least_squares", distance_weight=10.0)
        model.compile()
        logs = model.evaluate(x, y, batch_size=32, return_dict=True, verbose=0)
        real = 2.0 * y - 1.0
        assert_same(logs["distance"], np.abs(real).mean())
        assert_same(logs["discriminator_loss"], 0.25 * np.square(real - 1.0).mean())
        assert_same(logs["generator_loss"], 0.5 + 10.0 * np.abs(real).mean(), 1e-4)


class TestCycleGAN(TranslatorCase):
    def make(self, **arguments):
        defaults = {"shape": (8, 8, 1), "generator": {"class": "UNet", "width": 8}, "discriminator": PATCH}
        return CycleGAN(**defaults | {"pool_size": 20} | arguments)

    def test_each_kind_becomes_like_the_other(self, images):
        x, y = self.pairs(images)
        model = self.make(generator={"class": "residual", "width": 8, "blocks": 1}, identity_weight=0.0)
        model.compile(adams())
        before = model.evaluate(x, y, return_dict=True, verbose=0)["cycle_distance"]
        logs = train(model, x, y[np.random.default_rng(0).permutation(len(y))], 60)
        assert set(logs) == set(model.loss_names) - {"identity_distance"}
        assert np.isfinite([values[-1] for values in logs.values()]).all()
        gap = (y.mean() - x.mean()) / 255.0
        assert abs(model.translate(x).mean() - y.mean() / 255.0) < 0.3 * gap
        assert abs(model.translate(y, "b_to_a").mean() - x.mean() / 255.0) < 0.3 * gap
        assert model.evaluate(x, y, return_dict=True, verbose=0)["cycle_distance"] < 0.5 * before

    def test_both_directions(self, images):
        x, _ = images
        model = self.make()
        assert np.abs(model.translate(x, "b_to_a") - model.translate(x)).max() > 1e-3
        with pytest.raises(InputError, match="a_to_b"):
            model.translate(x, "forward")

    def test_perfect_cycles_cost_nothing(self, images):
        x, y = self.pairs(images)
        model = self.make(generator=[self.negation(), self.negation()], loss="least_squares")
        model.compile()
        logs = model.evaluate(x, y, return_dict=True, verbose=0)
        assert_same(logs["cycle_distance"], 0.0)
        assert logs["identity_distance"] > 0.1

    def negation(self):
        inputs = keras.Input((8, 8, 1))
        return keras.Model(inputs, layers.Conv2D(1, 1, kernel_initializer=keras.initializers.Constant(-1.0))(inputs))

    def test_networks_of_ones_own(self, images, tmp_path):
        x, _ = images
        model = self.make(generator=[self.negation(), {"class": "UNet", "width": 4}])
        assert_same(model.translate(x), 1.0 - x / 255.0)
        model.save(tmp_path / "model")
        assert_same(keras.saving.load_model(tmp_path / "model").translate(x, "b_to_a"), model.translate(x, "b_to_a"))
        with pytest.raises(InputError, match="pair"):
            self.make(generator=self.negation())

    def test_pools_are_of_the_training_alone(self, images):
        x, y = self.pairs(images)
        model = self.make()
        model.compile()
        assert not any(variable.shape[0] == 20 for variable in model.variables)
        model.fit(x, y, batch_size=16, verbose=0)
        pools = [ops.convert_to_numpy(pool.images) for pool in model._pools]
        assert all((pool[:, 0, 0, 0] != EMPTY).sum() >= 16 for pool in pools)  # after two steps of 16


@pytest.mark.parametrize(("size", "num"), [(6, 4), (4, 4), (3, 5)])
def test_image_pool(size, num):
    """Against the pool as one would write it with a list."""
    rng = np.random.default_rng(0)
    pool = ImagePool(keras.optimizers.SGD(), size, (1, 1, 1), "pool")
    kept = [None] * size
    for _ in range(8):
        fake = rng.uniform(-1, 1, (num, 1, 1, 1)).astype(np.float32)
        start, coins = int(rng.integers(size)), rng.uniform(size=num).astype(np.float32)
        expected = []
        for i, image in enumerate(fake.ravel()):
            place = (start + i) % size
            if i >= size:
                expected.append(image)
            elif kept[place] is None or coins[i] >= 0.5:
                expected.append(image)
                kept[place] = image if kept[place] is None else kept[place]
            else:
                expected.append(kept[place])
                kept[place] = image
        found = pool.exchange(ops.convert_to_tensor(fake), start, ops.convert_to_tensor(coins))
        assert_same(ops.convert_to_numpy(found).ravel(), expected)
        held = [EMPTY if image is None else image for image in kept]
        assert_same(ops.convert_to_numpy(pool.images).ravel(), held)


@pytest.mark.parametrize("sides", [(8, 8), (28, 28), (18, 30), (64, 64)])
def test_networks_take_any_sides(sides):
    x = np.zeros((2, *sides, 3), np.float32)
    for network in (UNetGenerator((*sides, 3), 1, width=2), ResidualGenerator((*sides, 3), 1, width=2, blocks=1)):
        assert network(x).shape == (2, *sides, 1)
    logits = PatchDiscriminator((*sides, 3), width=2)(x)
    assert logits.shape == (2, -(-sides[0] // 4), -(-sides[1] // 4))


@pytest.mark.parametrize(("levels", "patch"), [(1, 16), (2, 34), (3, 70)])
def test_patches_are_as_large_as_stated(levels, patch):
    """What one logit depends on, by what changes it."""
    side = 96
    network = PatchDiscriminator((side, side, 1), width=2, levels=levels, normalization=None)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, side, side, 1)).astype(np.float32)
    row = side // 2 // 2**levels
    stripes = np.repeat(x, side, axis=0)
    stripes[np.arange(side), np.arange(side)] += 10.0  # a row changed in each
    logits = ops.convert_to_numpy(network(np.concatenate([x, stripes])))[:, row].max(axis=-1)
    seen = np.flatnonzero(np.abs(logits[1:] - logits[0]) > 1e-6)
    assert seen[-1] - seen[0] + 1 == patch
