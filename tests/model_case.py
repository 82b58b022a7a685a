"""What every family must do, in one test case: a family's test file subclasses it and names a small model."""

import json

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image

from kerasgen.errors import InputError


def assert_same(a, b, tolerance=1e-5):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=0, atol=tolerance)


def long_fit(model, x, y, times, epochs=1):
    """Two steps of 16 images for each of `times`, as one epoch: starting an epoch takes longer than a step."""
    x, y = np.tile(x, (times, 1, 1, 1)), None if y is None else np.concatenate([y] * times)
    return model.fit(x, y, batch_size=16, epochs=epochs, shuffle=False, verbose=0)


def write_pictures(folder):
    """24 + 8 pictures 8 x 8 in splits "train" and "test", bright on the left or on the right, each side a class."""
    rng = np.random.default_rng(0)
    for split, num in (("train", 24), ("test", 8)):
        for index in range(num):
            picture = rng.integers(0, 60, (8, 8), dtype=np.uint8)
            picture[:, 4 * (index % 2) :][:, :4] += 150
            path = folder / split / f"class{index % 2}" / f"{index:02d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(path)


class ModelCase:
    """Subclasses give `make(**arguments)`, a small untrained model of 8 x 8 x 1 images, and say what it has."""

    num_classes = None
    named_layers = True  # whether every layer's name is fixed, and so the paths of variables
    float16_arguments = {}  # noqa: RUF012

    def make(self, **arguments):
        raise NotImplementedError

    def ready(self, images, **arguments):
        """A model that can sample, on weights that are not the initial ones."""
        x, y = images
        model = self.make(**arguments)
        model.compile()
        model.fit(x, self.labels(y), batch_size=16, epochs=2, verbose=0)
        model.prepare_sampling(x)
        return model

    def long_fit(self, model, images, times, epochs=1):
        """Two steps for each of `times`, as one epoch."""
        return long_fit(model, images[0], self.labels(images[1]), times, epochs)

    def labels(self, y):
        return y if self.num_classes else None

    def compile_plainly(self, model):
        """With an optimizer that makes little of rounding errors."""
        model.compile()

    def test_training_lowers_the_loss(self, images):
        x, y = images
        model = self.make()
        model.compile(keras.optimizers.Adam(3e-3))
        before = model.evaluate(x, self.labels(y), verbose=0, return_dict=True)
        self.long_fit(model, images, 40)
        after = model.evaluate(x, self.labels(y), verbose=0, return_dict=True)
        assert set(before) == set(after) == set(model.loss_names)
        assert np.isfinite(list(after.values())).all()
        assert after["loss"] < 0.9 * before["loss"]

    def test_fit_takes_bytes_and_floats_in_datasets_alike(self, images):
        tf = pytest.importorskip("tensorflow")
        x, y = images
        forms = [x, tf.data.Dataset.from_tensor_slices((x / np.float32(255.0), y)).batch(32)]
        model = self.make()
        self.compile_plainly(model)
        state = [*model.variables, *model.optimizer.variables]
        start = [ops.convert_to_numpy(v) for v in state]
        weights = []
        for form in forms:
            for variable, value in zip(state, start, strict=True):
                variable.assign(value)
            labels = self.labels(y) if isinstance(form, np.ndarray) else None
            model.fit(form, labels, batch_size=32, epochs=1, shuffle=False, verbose=0)
            weights.append([ops.convert_to_numpy(v) for v in model.trainable_variables])
        for a, b in zip(*weights, strict=True):
            assert_same(a, b)

    def test_samples(self, trained):
        model = trained
        samples = model.sample(11, seed=5)
        assert samples.shape == (11, 8, 8, 1)
        assert samples.dtype == np.float32
        assert samples.min() >= 0.0
        assert samples.max() <= 1.0
        assert_same(model.sample(3, seed=5), samples[:3])
        assert_same(model.sample(11, seed=5, batch_size=4), samples)
        assert np.abs(model.sample(11, seed=6) - samples).max() > 1e-3
        assert np.abs(model.sample(11) - model.sample(11)).max() > 1e-3

    def test_config_rebuilds_the_model(self, trained):
        model = trained
        config = json.loads(json.dumps(model.get_config()))
        again = type(model).from_config(config)
        assert json.loads(json.dumps(again.get_config())) == config
        again.set_weights(model.get_weights())
        assert_same(again.sample(4, seed=0), model.sample(4, seed=0))
        if self.named_layers:
            assert [v.path for v in again.variables] == [v.path for v in model.variables]

    def test_saving(self, trained, images, tmp_path):
        model = trained
        model.evaluate(images[0], self.labels(images[1]), verbose=0)
        for form in ("model.keras", "folder"):
            model.save(tmp_path / form)
            again = keras.saving.load_model(tmp_path / form)
            for a, b in zip(again.get_weights(), model.get_weights(), strict=True):
                assert_same(a, b, 0)
            assert_same(again.sample(4, seed=0), model.sample(4, seed=0))
            if form == "model.keras":
                assert_same(again.optimizer.iterations, model.optimizer.iterations)
                again.fit(images[0], self.labels(images[1]), epochs=1, verbose=0)
        with pytest.raises(InputError, match="exists"):
            model.save(tmp_path / "folder", overwrite=False)

    @pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
    def test_mixed_precision(self, images, precision):
        model = self.make(dtype=precision, **(self.float16_arguments if precision == "mixed_float16" else {}))
        model.compile(keras.optimizers.Adam(3e-3))
        assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == (precision == "mixed_float16")
        losses = self.long_fit(model, images, 10, epochs=2).history["loss"]
        assert losses[1] < losses[0]
        model.prepare_sampling(images[0])
        assert np.isfinite(model.sample(2, seed=0)).all()

    def test_brings_its_own_losses(self):
        with pytest.raises(InputError, match="loss"):
            self.make().compile(loss="mse")

    def test_bad_images(self, images):
        x, y = images
        model = self.make()
        model.compile()
        float_x = x / np.float32(255.0)
        bad_value = float_x.copy()
        bad_value[3, 2, 1, 0] = np.nan
        cases = {
            r"3, shape|have 3 axes": x[..., 0],
            r"x\[None\]": x[0],
            r"takes \[batch, 8, 8, 1\]": np.repeat(x, 3, axis=-1),
            r"shape \(32, 8, 4, 1\)": x[:, :, :4],
            "dtype int64": x.astype(np.int64),
            "NaN": bad_value,
            r"range over \[.*\]; expected": x.astype(np.float32),
            "no images": x[:0],
        }
        for message, bad in cases.items():
            labels = self.labels(y)
            with pytest.raises(InputError, match=message):
                model.fit(bad, labels, verbose=0)
        with pytest.raises(InputError, match="expected an array"):
            model.reconstruct("images") if hasattr(model, "reconstruct") else model.modality.check("images")

    def test_bad_arguments(self):
        model = self.make()
        for arguments, message in [
            ({"num_samples": 0}, "num_samples"),
            ({"num_samples": 2.5}, "num_samples"),
            ({"num_samples": 2, "seed": -1}, "seed"),
            ({"num_samples": 2, "temperature": -0.1}, "temperature"),
            ({"num_samples": 2, "batch_size": 0}, "batch_size"),
        ]:
            with pytest.raises(InputError, match=message):
                model.sample(**arguments)
        with pytest.raises(InputError, match="shape"):
            self.make(shape=(8, 8))

    def test_bad_labels(self):
        model = self.make()
        if self.num_classes is None:
            with pytest.raises(InputError, match="not class-conditional"):
                model.sample(2, labels=[0, 1])
            return
        for labels, message in [
            ([0, self.num_classes], "classes"),
            ([-1, 0], "classes"),
            ([0.5, 1.0], "dtype"),
            ([0, 1, 2], "shape"),
        ]:
            with pytest.raises(InputError, match=message):
                model.sample(2, labels=labels)


class LatentCase(ModelCase):
    """For families that encode and decode."""

    # PyTorch has no gradient of float16 convolutions on CPUs.
    float16_arguments = {"encoder": "dense", "decoder": "dense"}  # noqa: RUF012

    def test_coding(self, trained, images):
        x, y = images
        y = self.labels(y)
        model = trained
        z = model.encode(x, y)
        assert z.shape == (len(x), model.latent_dim)
        assert_same(model.encode(x / np.float32(255.0), y), z)
        assert_same(model.decode(z, y), model.reconstruct(x, y))
        assert_same(model.encode(x, y, batch_size=5), z)
        subset = None if y is None else y[:3]
        path = model.interpolate(x[:3], x[3:6], steps=4, labels=subset)
        assert path.shape == (3, 4, 8, 8, 1)
        assert_same(path[:, 0], model.decode(z[:3], subset))
        assert_same(path[:, -1], model.decode(model.encode(x[3:6], subset), subset))

    def test_bad_latents(self, images):
        model = self.make()
        for z in (
            np.zeros((2, model.latent_dim + 1)),
            np.zeros(model.latent_dim),
            np.full((1, model.latent_dim), np.nan),
        ):
            with pytest.raises(InputError, match="latents"):
                model.decode(z)
        with pytest.raises(InputError, match="as many"):
            model.interpolate(images[0][:2], images[0][:3])
