"""What every family must do in the hands of Keras' users, in one test case: one small model, compiled once."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from kerasgen.errors import InputError

BATCH = 8
NUM = 24  # three batches


def values(variables):
    return [ops.convert_to_numpy(v).copy() for v in variables]


def assert_same_values(a, b, tolerance=1e-6):
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=tolerance)


class Batches(keras.utils.PyDataset):
    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


class Raising(keras.callbacks.Callback):
    """Raises `error` at an event of the n-th time."""

    def __init__(self, event, error, times=1):
        super().__init__()
        self.left = times

        def run(*args, **kwargs):
            self.left -= 1
            if self.left == 0:
                raise error

        setattr(self, event, run)


class Citizen:
    """Subclasses give `make()`, a small model, and say what it takes.

    `vectors` for examples `[6]` instead of images `[8, 8, 1]`, or `tokens` for those of 0 to 4, or `videos` of the
    halves of an image; `num_classes`; `pairs` for targets like x.
    """

    vectors = False
    tokens = False
    videos = False
    num_classes = None
    pairs = False
    coupled = False  # whether the examples of a batch meet in training
    lowered = "loss"  # what training lowers, or `None`
    called = None  # the method that `model(x)` stands for, or `None`

    def make(self):
        raise NotImplementedError

    # Data

    @pytest.fixture(scope="class")
    @classmethod
    def data(cls):
        """`(x, y)`: floats as users hold them, and labels, images, or `None`."""
        rng = np.random.default_rng(0)
        if cls.tokens:
            x = (np.arange(NUM)[:, None] % 2 + np.arange(6) + rng.integers(0, 2, (NUM, 6))).astype(np.int32) % 5
        elif cls.vectors:
            x = rng.normal(size=(NUM, 6)).astype(np.float32) @ rng.normal(size=(6, 6)).astype(np.float32)
        else:
            x = rng.integers(0, 40, (NUM, 8, 8, 1))
            x[np.arange(NUM) % 2 == 0, 2:6, 2:6] += 180
            x = x / np.float32(255.0)
            x = x.reshape(NUM, 2, 4, 8, 1) if cls.videos else x
        y = 1.0 - x if cls.pairs else np.arange(NUM, dtype=np.int32) % 2 if cls.num_classes else None
        return x, y

    def batches(self, data):
        parts = [part for part in data if part is not None]
        found = [tuple(part[start : start + BATCH] for part in parts) for start in range(0, NUM, BATCH)]
        return found if len(parts) > 1 else [batch[0] for batch in found]

    def forms(self, batches):
        """The batches as each iterable that Keras takes."""
        import tensorflow as tf

        signature = tf.nest.map_structure(lambda a: tf.TensorSpec((None, *a.shape[1:]), a.dtype), batches[0])
        dataset = tf.data.Dataset.from_generator(lambda: iter(batches), output_signature=signature)
        found = {"dataset": dataset, "generator": (batch for batch in batches), "PyDataset": Batches(batches)}
        if keras.backend.backend() == "torch":
            import torch

            found["DataLoader"] = torch.utils.data.DataLoader(batches, batch_size=None)
        return found

    # The model

    @pytest.fixture(scope="class")
    @classmethod
    def compiled(cls, data):
        """The model, compiled by default and initialized by a step that moves nothing, and the values of its state."""
        keras.utils.set_random_seed(0)
        model = cls().make()
        model.compile()
        model.fit(*data, batch_size=BATCH, sample_weight=np.zeros(NUM), verbose=0)
        return model, values(cls().state(model))

    @pytest.fixture
    def model(self, compiled):
        model, start = compiled
        for variable, value in zip(self.state(model), start, strict=True):
            variable.assign(value)
        model.stop_training = False
        return model

    def state(self, model):
        return [*model.variables, *model.optimizer.variables]

    def fit(self, model, data, **settings):
        return model.fit(*data, **{"batch_size": BATCH, "shuffle": False, "verbose": 0} | settings)

    # Training

    def test_default_fit_lowers_evaluate(self, model, data):
        before = model.evaluate(*data, batch_size=BATCH, verbose=0, return_dict=True)
        assert before == model.evaluate(*data, batch_size=BATCH, verbose=0, return_dict=True)
        history = self.fit(model, data, epochs=10, validation_data=tuple(part for part in data if part is not None))
        assert np.isfinite([value for row in history.history.values() for value in row]).all()
        if self.lowered:
            after = model.evaluate(*data, batch_size=BATCH, verbose=0, return_dict=True)
            assert after[self.lowered] < before[self.lowered]

    def test_left_over_batch_and_validation_split(self, model, data):
        history = self.fit(model, [None if part is None else part[:21] for part in data], validation_split=0.5)
        assert np.isfinite(history.history[f"val_{model.loss_names[0]}"]).all()

    def test_every_iterable_trains_alike(self, model, data, compiled):
        self.fit(model, data)
        wanted = values(model.trainable_variables)
        for form in self.forms(self.batches(data)).values():
            for variable, value in zip(self.state(model), compiled[1], strict=True):
                variable.assign(value)
            model.fit(form, steps_per_epoch=3, verbose=0, shuffle=False)
            assert_same_values(values(model.trainable_variables), wanted)

    def test_weights_of_examples(self, model, data, compiled):
        """Weights of 0 leave the model as it was; those of some examples take these out of the means."""
        x, y = data
        self.fit(model, data, sample_weight=np.zeros(NUM))
        start = dict(zip(map(id, self.state(model)), compiled[1], strict=True))
        assert_same_values(values(model.trainable_variables), [start[id(v)] for v in model.trainable_variables], 2e-7)
        weight = (np.arange(NUM) % 4 != 3).astype(np.float32)
        other = x.copy()
        left = other[weight == 0]
        other[weight == 0] = 4 - left if self.tokens else -left if self.vectors else 1.0 - left
        if not self.coupled:
            trained = []
            for given in (x, other):
                for variable, value in zip(self.state(model), compiled[1], strict=True):
                    variable.assign(value)
                self.fit(model, (given, y), sample_weight=weight)
                trained.append(values(model.trainable_variables))
            assert_same_values(*trained, 1e-5)
        names = [name for name in model.loss_names if name != "diversity"]
        one, two = (
            model.evaluate(given, y, sample_weight=weight, batch_size=BATCH, verbose=0, return_dict=True)
            for given in (x, other)
        )
        np.testing.assert_allclose([one[n] for n in names if n in one], [two[n] for n in names if n in two], rtol=1e-4)

    def test_class_weight(self, model, data):
        if not self.num_classes:
            with pytest.raises(InputError, match="class_weight is for models with classes"):
                self.fit(model, data, class_weight={0: 1.0})
            return
        before = values(model.trainable_variables)
        self.fit(model, data, class_weight={0: 0.0, 1: 0.0})
        assert_same_values(values(model.trainable_variables), before)
        with pytest.raises(InputError, match="0 to 1"):
            self.fit(model, data, class_weight={2: 1.0})

    # What comes in batches

    def bad(self, x):
        x = x.copy()
        x[1] = 9 if self.tokens else np.nan
        return x

    def test_bad_batches_are_named(self, model, data):
        batches = self.batches(data)
        last = batches[2]
        batches[2] = (self.bad(last[0]), *last[1:]) if isinstance(last, tuple) else self.bad(last)
        for name, form in self.forms(batches).items():
            with pytest.raises(InputError, match=r"^batch 2: .*(NaN|not finite|range over)"):
                model.fit(form, verbose=0, shuffle=False)
            if name != "generator":
                with pytest.raises(InputError, match=r"^batch 2: .*(NaN|not finite|range over)"):
                    model.evaluate(form, verbose=0)
        self.fit(model, data)  # it still trains

    def test_bad_labels_in_batches(self, model, data):
        if not self.num_classes:
            return
        x, y = data
        for bad, message in ((y + 1, "0 to 1"), (y - 1, "0 to 1"), (y * 0.9, "dtype"), (np.eye(2)[y], "one-hot")):
            for form in self.forms(self.batches((x, bad))).values():
                with pytest.raises(InputError, match=f"^batch .: labels .*{message}"):
                    model.fit(form, verbose=0, shuffle=False)
        model.fit(x, y[:, None], batch_size=BATCH, verbose=0)

    def test_data_sets_of_other_forms(self, model, data):
        import tensorflow as tf

        parts = [part for part in data if part is not None]
        whole = tf.data.Dataset.from_tensor_slices(tuple(parts) if len(parts) > 1 else parts[0])
        cases = {
            r"call .batch\(32\)": whole,
            "dictionaries": tf.data.Dataset.from_tensor_slices({"image": data[0]}).batch(BATCH),
            "empty": whole.batch(BATCH).take(0),
            "is empty": whole.batch(BATCH).filter(lambda *batch: False),
            "no end": whole.batch(BATCH).repeat(),
            r"PyDataset|expected": {"image": data[0]},
        }
        for message, form in cases.items():
            with pytest.raises(InputError, match=message):
                model.fit(form, verbose=0)
        with pytest.raises(InputError, match="empty"):
            model.fit((batch for batch in ()), verbose=0)
        with pytest.raises(InputError, match="leave it out"):
            model.fit(whole.batch(BATCH), data[0], verbose=0)

        def unknown():  # shapes that nobody says
            yield from self.batches(data)

        dtypes = tuple(part.dtype for part in parts) if len(parts) > 1 else parts[0].dtype
        model.fit(
            tf.data.Dataset.from_generator(unknown, dtypes), steps_per_epoch=3, verbose=0
        )  # shapes that nobody says

    # Failed calls

    def test_failed_calls_lose_nothing(self, model, data):
        """tests/backend/test_failed_calls.py has more of them, on one model."""
        error, interrupt, batches = RuntimeError("stop"), KeyboardInterrupt(), self.batches(data)

        def failing(after):
            yield from batches[:after]
            raise error

        def ends(event):
            return {"callbacks": [Raising(event, error)], "verbose": 0}

        calls = [
            (interrupt, lambda: self.fit(model, data, callbacks=[Raising("on_train_batch_begin", interrupt)])),
            (interrupt, lambda: self.fit(model, data, callbacks=[Raising("on_train_batch_end", interrupt, 2)])),
            (error, lambda: self.fit(model, data, callbacks=[Raising("on_epoch_end", error)])),
            (error, lambda: self.fit(model, data, validation_split=0.5, **ends("on_test_batch_end"))),
            (Exception(), lambda: model.fit(failing(1), verbose=0)),  # TensorFlow wraps it
            (error, lambda: model.evaluate(*data, batch_size=BATCH, **ends("on_test_batch_end"))),
        ]
        if self.called:
            calls.append((error, lambda: model.predict(self.inputs(model, data), **ends("on_predict_batch_end"))))
        for raised, call in calls:
            iterations = int(ops.convert_to_numpy(model.optimizer.iterations))
            with pytest.raises(type(raised)):
                call()
            state = values(self.state(model))
            assert all(np.isfinite(value).all() for value in state)
            assert iterations <= int(ops.convert_to_numpy(model.optimizer.iterations)) <= iterations + 3
        for call in (model.predict, model.predict_on_batch):
            with pytest.raises(InputError):
                call("no array")
        self.fit(model, data)
        model.get_weights()

    # Callbacks

    def test_callbacks_of_keras(self, model, data, tmp_path):
        monitor = f"val_{model.loss_names[0]}"
        k = keras.callbacks
        callbacks = [
            k.EarlyStopping(monitor, mode="min", patience=5, restore_best_weights=True),
            k.ModelCheckpoint(str(tmp_path / "best.weights.h5"), monitor, mode="min", save_weights_only=True),
            k.ModelCheckpoint(str(tmp_path / "whole.keras")),
            k.BackupAndRestore(str(tmp_path / "backup")),
            k.ReduceLROnPlateau(monitor, mode="min", patience=1, min_delta=1e9),
            k.CSVLogger(str(tmp_path / "log.csv")),
            k.TerminateOnNaN(),
        ]
        if keras.backend.backend() == "tensorflow":
            callbacks.append(k.TensorBoard(str(tmp_path / "board")))
        self.fit(model, data, epochs=3, validation_data=tuple(p for p in data if p is not None), callbacks=callbacks)
        again = keras.saving.load_model(tmp_path / "whole.keras")
        assert json.dumps(again.get_config()) == json.dumps(model.get_config())
        model.load_weights(tmp_path / "best.weights.h5")
        assert len((tmp_path / "log.csv").read_text().splitlines()) == 4

    def test_one_callback_and_positional_ones(self, model, data):
        seen = []
        callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
        self.fit(model, data, callbacks=callback)
        model.fit(*data, BATCH, 1, 0, [callback])
        assert seen == [0, 0]

    # Other things that users do

    @pytest.mark.backend("tensorflow", "jax")
    def test_steps_per_execution(self, model, data):
        model.compile(steps_per_execution=2)
        history = self.fit(model, data)
        assert np.isfinite(history.history[model.loss_names[0]]).all()
        model.compile()

    def test_frozen_parts_stay(self, data):
        model = self.make()
        num = len(model.trainable_variables)
        layers = model._flatten_layers()
        part = next(layer for layer in layers if layer._trainable_variables and len(layer.trainable_variables) < num)
        part.trainable = False
        model.compile()
        before, others = values(part.weights), values(model.trainable_variables)
        self.fit(model, data)
        assert_same_values(values(part.weights), before, 0.0)
        assert any(np.abs(a - b).max() > 0 for a, b in zip(others, values(model.trainable_variables), strict=True))

    def test_clone_and_summary(self, model, capsys):
        clone = keras.models.clone_model(model)
        assert json.dumps(clone.get_config()) == json.dumps(model.get_config())
        assert [(v.name, v.shape) for v in clone.variables] == [(v.name, v.shape) for v in model.variables]
        model.summary()
        assert model.name in capsys.readouterr().out

    # model(x)

    def inputs(self, model, data):
        """What `model(x)` takes."""
        return data[0]

    def test_call(self, model, data):
        if self.called is None:
            for call in (model, model.predict, model.predict_on_batch, model.export):
                with pytest.raises(InputError, match="no function of its input"):
                    call(data[0])
            return
        x = self.inputs(model, data)
        wanted = getattr(model, self.called)(x, verbose=0)
        wanted = wanted if self.called != "classify" else np.log(wanted)

        def assert_equal(result):
            result = ops.convert_to_numpy(result)
            if self.called == "classify":
                result = result - np.log(np.exp(result).sum(axis=1, keepdims=True))
            np.testing.assert_allclose(result, wanted, atol=2e-5)

        assert_equal(model(x))
        assert_equal(model(ops.convert_to_tensor(x)))
        assert_equal(model.predict(x, batch_size=BATCH, verbose=0))
        assert_equal(model.predict_on_batch(x))
        loaded = self.make()  # as `load` gives it: not compiled
        assert loaded.predict(x, verbose=0).shape == wanted.shape
        with pytest.raises(ValueError, match="compile"):
            loaded.fit(*data, verbose=0)
        if x.ndim >= 4:
            pixels = np.rint(255.0 * x).astype(np.uint8)
            assert_equal(model(pixels))
            assert_equal(model.predict(pixels, batch_size=BATCH, verbose=0))
        with pytest.raises(InputError):
            model(1000.0 * x if x.ndim >= 4 else np.full_like(x, np.nan))
        with pytest.raises(InputError):
            model.predict(x[0], verbose=0)

    @pytest.mark.backend("tensorflow")
    def test_export(self, model, data, tmp_path):
        """What a SavedModel serves, without a call before, is what `predict` gives."""
        if self.called is None:
            return
        import tensorflow as tf

        self.make().export(tmp_path / "fresh", verbose=False)
        model.export(tmp_path / "model", verbose=False)
        served = tf.saved_model.load(tmp_path / "model")
        x = self.inputs(model, data)
        np.testing.assert_allclose(served.serve(x).numpy(), model.predict(x, verbose=0), atol=1e-5)
