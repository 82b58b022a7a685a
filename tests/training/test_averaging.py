"""Averaged weights: against a plain mean in NumPy, and as each part of Keras sees them in `fit`."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from kerasgen import Autoencoder, DiffusionModel, GANOptimizer
from kerasgen.base.averaging import Averaging, warm_up
from kerasgen.errors import InputError

MOMENTUM = 0.9
EAGER = keras.backend.backend() == "tensorflow"  # graphs of models of a few steps take longer to make than to run


def averages_of(sequence, momentum=MOMENTUM):
    """The averages after each of a sequence of weights: a copy, then by the momentum as it warms up."""
    averages = []
    for n, weight in enumerate(np.asarray(sequence, np.float64)):
        m = min(momentum, (1 + n) / (10 + n)) if n else 0.0
        averages.append(m * averages[-1] + (1 - m) * weight if n else weight)
    return averages


def flat(values):
    return np.concatenate([ops.convert_to_numpy(value).ravel() for value in values])


class Watch(keras.callbacks.Callback):
    """Keeps the weights that it sees: after each batch, as each epoch ends, and in validation."""

    def __init__(self):
        super().__init__()
        self.steps, self.epochs, self.validations = [], [], []

    def see(self, into):
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()
        into.append(flat(self.model.trainable_variables))

    def on_train_batch_end(self, batch, logs=None):
        self.see(self.steps)

    def on_epoch_end(self, epoch, logs=None):
        self.see(self.epochs)

    def on_test_batch_begin(self, batch, logs=None):
        self.see(self.validations)


class Fail(keras.callbacks.Callback):
    """Raises when a method is called for the `time`-th time."""

    def __init__(self, method, time, error=RuntimeError):
        super().__init__()
        calls = itertools.count(1)

        def fail(*args, **kwargs):
            if next(calls) == time:
                raise error("enough")

        setattr(self, method, fail)


class Score(keras.callbacks.Callback):
    """Gives each epoch a score, for callbacks after it to watch."""

    def __init__(self, scores):
        super().__init__()
        self.scores = scores

    def on_epoch_end(self, epoch, logs=None):
        logs["score"] = self.scores[epoch]


@pytest.fixture
def x():
    return np.random.default_rng(0).integers(0, 256, (16, 8, 8, 1), dtype=np.uint8)


def adam():
    return keras.optimizers.Adam(1e-2, use_ema=True, ema_momentum=MOMENTUM)


def small(optimizer=None):
    """A model that draws no noise in training: what it learns depends on weights and data alone."""
    keras.utils.set_random_seed(1)
    model = Autoencoder((8, 8, 1), 2, "dense", "dense", width=4)
    model.compile(optimizer or adam())
    return model


def fit(model, x, epochs=1, callbacks=(), eager=EAGER, **kwargs):
    """Two steps an epoch."""
    watch = Watch()
    model.run_eagerly = eager
    settings = {"batch_size": 8, "epochs": epochs, "shuffle": False, "verbose": 0}
    model.fit(x, callbacks=[watch, *callbacks], **settings | kwargs)
    return watch


def same(a, b, tolerance=1e-6):
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


def state(model):
    return flat([*model.trainable_variables, *model.optimizer.variables])


# The optimizer


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "Lion"])
def test_averages_are_those_of_the_formula(name):
    variable = keras.Variable(np.zeros(3, "float32"))
    optimizer = warm_up(getattr(keras.optimizers, name)(0.5, use_ema=True, ema_momentum=MOMENTUM))
    optimizer.build([variable])
    weights, averages = [], []
    for step in range(120):
        optimizer.apply([ops.convert_to_tensor(np.array([1.0, -2.0, np.sin(step)], "float32"))])
        weights.append(ops.convert_to_numpy(variable))
        averages.append(ops.convert_to_numpy(optimizer._model_variables_moving_average[0]))
    same(averages, averages_of(weights), 1e-4)
    assert np.abs(averages[-1] - weights[-1]).max() > 0.1
    # The greatest momentum is reached: (1 + n) / (10 + n) is 0.9 at n = 80.
    same(averages[-1], MOMENTUM * averages[-2] + (1 - MOMENTUM) * weights[-1], 1e-4)


def test_accumulated_steps_are_averaged_once():
    variable = keras.Variable(np.zeros(1, "float32"))
    arguments = {"use_ema": True, "ema_momentum": MOMENTUM, "gradient_accumulation_steps": 3}
    optimizer = warm_up(keras.optimizers.SGD(1.0, **arguments))
    optimizer.build([variable])
    for _ in range(9):
        optimizer.apply([ops.ones(1)])
    same(optimizer._model_variables_moving_average[0], averages_of([[-1.0], [-2.0], [-3.0]])[-1])


def test_is_mixed_into_every_optimizer_with_averages():
    """Wherever it is, and in place, so that it stays the user's; others stay as they are."""
    plain, averaged = keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1, use_ema=True)
    assert warm_up(plain) is plain
    assert not isinstance(plain, Averaging)
    assert small(averaged).optimizer is averaged
    assert isinstance(averaged, Averaging)
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1, use_ema=True))
    assert isinstance(small(scaled).optimizer.inner_optimizer, Averaging)
    players = GANOptimizer(keras.optimizers.SGD(0.1, use_ema=True), plain)
    assert isinstance(players.generator, Averaging)
    assert not isinstance(players.discriminator, Averaging)

    class Own(keras.optimizers.SGD):
        pass

    with pytest.raises(InputError, match="Own averages weights"):
        small(Own(0.1, use_ema=True))

    class AveragedOwn(Averaging, Own):
        pass

    assert isinstance(small(AveragedOwn(0.1, use_ema=True)).optimizer, AveragedOwn)


def test_saved_optimizers_without_warm_up_load(x):
    """What earlier versions saved: Keras' own class, and no counters."""
    model = small()
    fit(model, x, 2)
    saved = {f"{i}": ops.convert_to_numpy(v) for i, v in enumerate(model.optimizer.variables[:-2])}
    again = small()
    config = keras.saving.serialize_keras_object(adam())
    assert config["class_name"] == "Adam"
    again.compile_from_config({"optimizer": config})
    again.optimizer.load_own_variables(saved)
    for a, b in zip(again.optimizer.variables[:-2], model.optimizer.variables[:-2], strict=True):
        same(a, b, 0)
    assert [int(v) for v in again.optimizer.variables[-2:]] == [4, 0]


# What fit shows and leaves


def test_fit_shows_averages_at_the_end_of_an_epoch_and_leaves_them(x):
    model = small()
    last = Watch()
    watch = fit(model, x, 3, [last], eager=False, validation_data=(x,))
    averages = averages_of(watch.steps)
    for seen in (watch.epochs, watch.validations[::2], last.epochs):
        same(seen, averages[1::2])
    same(flat(model.trainable_variables), averages[-1])
    assert np.abs(averages[-1] - watch.steps[-1]).max() > 1e-3
    assert len(watch.steps) == 6


def test_fit_without_steps_leaves_the_weights(x):
    model = small()
    before = flat(model.trainable_variables)
    fit(model, x, 1, initial_epoch=1)
    same(flat(model.trainable_variables), before, 0)


@pytest.mark.filterwarnings("ignore:Autoencoder cannot be saved")  # infinity is no number of JSON
def test_steps_that_overflow_leave_the_weights(x):
    """float16, where the first step's gradients are not finite and no step is taken."""
    model = small(keras.optimizers.LossScaleOptimizer(adam(), initial_scale=float("inf")))
    before = flat(model.trainable_variables)
    model.fit(x, batch_size=16, verbose=0)
    assert int(model.optimizer.iterations) == 0
    same(flat(model.trainable_variables), before, 0)


def test_fit_goes_on_from_the_weights_of_training(x):
    whole, halves = small(), small()
    fit(whole, x, 4)
    fit(halves, x, 2)
    fit(halves, x, 2)
    same(state(halves), state(whole), 0)


def test_other_weights_begin_anew(x):
    """Weights that the user sets are what training goes on from, whatever was averaged before."""
    model = small()
    fit(model, x, 20)
    model.set_weights([np.full_like(w, 0.1) for w in model.get_weights()])
    watch = fit(model, x)
    same(flat(model.trainable_variables), averages_of(watch.steps)[-1])
    model.run_eagerly = False
    model.train_on_batch(x)  # from the averages, which the model has
    after = flat(model.trainable_variables)
    model.optimizer.show_averages()
    same(flat(model.trainable_variables), after, 0)
    assert int(model.optimizer.variables[-2]) == 1


@pytest.mark.parametrize(
    ("method", "time", "steps", "error"),
    [
        ("on_train_batch_end", 5, 5, RuntimeError),
        ("on_train_batch_end", 1, 1, KeyboardInterrupt),
        ("on_epoch_end", 2, 4, RuntimeError),
        ("on_test_batch_end", 3, 4, KeyboardInterrupt),
    ],
)
def test_a_fit_that_fails_leaves_the_weights_of_training(x, method, time, steps, error):
    """Those after its last whole step; a further fit goes on as if nothing had happened."""
    model, whole = small(), small()
    watch = Watch()
    callbacks = [watch, Fail(method, time, error)]
    with pytest.raises(error, match="enough"):
        fit(model, x, 3, callbacks, validation_data=(x,))
    assert len(watch.steps) == steps
    same(flat(model.trainable_variables), watch.steps[-1], 0)
    if steps % 2 == 0:
        fit(model, x, 2)
        fit(whole, x, steps // 2 + 2)
        same(state(model), state(whole), 0)


def test_a_fit_that_fails_before_it_trains_leaves_the_averages(x):
    model = small()
    fit(model, x, 2)
    before = state(model)
    with pytest.raises(RuntimeError, match="enough"):
        fit(model, x, 1, [Fail("on_train_begin", 1)])
    same(state(model), before, 0)


@pytest.mark.parametrize("first", [True, False])
def test_early_stopping_restores_the_averages_of_the_best_epoch(x, first):
    model = small()
    early = keras.callbacks.EarlyStopping("score", mode="min", patience=2, restore_best_weights=True)
    after = Watch()
    watch = fit(model, x, 9, [Score([3.0, 1.0, 2.0, 2.0, 2.0]), *([early, after] if first else [after, early])])
    assert len(watch.epochs) == 4
    same(flat(model.trainable_variables), watch.epochs[1], 0)
    same(watch.epochs[1], averages_of(watch.steps)[3])
    again = fit(model, x)  # from the best
    same(flat(model.trainable_variables), averages_of(again.steps)[-1])
    assert np.abs(again.steps[0] - watch.epochs[1]).max() < 0.05


def test_validation_loss_is_that_of_what_is_restored(x):
    model = small(keras.optimizers.Adam(0.3, use_ema=True, ema_momentum=MOMENTUM))
    early = keras.callbacks.EarlyStopping("val_loss", patience=3, restore_best_weights=True)
    settings = {"batch_size": 8, "epochs": 6, "shuffle": False, "verbose": 0}
    history = model.fit(x, validation_data=x[:4], callbacks=[early], **settings).history["val_loss"]
    assert model.evaluate(x[:4], verbose=0, return_dict=True)["loss"] == pytest.approx(min(history), rel=1e-5)


def test_checkpoints_have_averages_and_resume(x, tmp_path):
    model, whole = small(), small()
    paths = [str(tmp_path / name) for name in ("{epoch}.keras", "best.keras", "{epoch}.weights.h5")]
    saves = [
        keras.callbacks.ModelCheckpoint(paths[0]),
        keras.callbacks.ModelCheckpoint(paths[1], monitor="score", mode="min", save_best_only=True),
        keras.callbacks.ModelCheckpoint(paths[2], save_weights_only=True),
    ]
    watch = fit(model, x, 3, [Score([2.0, 1.0, 3.0]), *saves])
    fit(whole, x, 4)
    plain = Autoencoder.from_config(model.get_config())
    for epoch, average in enumerate(watch.epochs, 1):
        saved = keras.saving.load_model(paths[0].format(epoch=epoch))
        same(flat(saved.trainable_variables), average, 0)
        assert type(saved.optimizer) is type(model.optimizer)
        weights = small()
        weights.load_weights(paths[2].format(epoch=epoch))
        same(flat(weights.trainable_variables), average, 0)
        for resumed in (saved, weights):
            fit(resumed, x, 4, initial_epoch=epoch)
            same(state(resumed), state(whole), 0)
    same(flat(keras.saving.load_model(paths[1]).trainable_variables), watch.epochs[1], 0)
    saved.save(tmp_path / "folder")
    same(flat(keras.saving.load_model(tmp_path / "folder").trainable_variables), flat(whole.trainable_variables), 0)
    assert [v.path for v in plain.variables] == [v.path for v in model.variables]


@pytest.mark.parametrize("save_freq", ["epoch", 3])
def test_backup_and_restore_goes_on_as_if_not_killed(x, tmp_path, save_freq):
    whole = small()
    fit(whole, x, 4)

    def backup():
        return keras.callbacks.BackupAndRestore(str(tmp_path / "backup"), save_freq=save_freq)

    with pytest.raises(RuntimeError, match="enough"):
        fit(small(), x, 4, [backup(), Fail("on_train_batch_end", 6 if save_freq == "epoch" else 4)])
    again = small()
    watch = fit(again, x, 4, [backup()])
    if save_freq == "epoch":
        assert len(watch.steps) == 4
        same(state(again), state(whole), 0)
    same(flat(again.trainable_variables), watch.epochs[-1], 0)


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_swap_ema_weights_does_not_undo_it(x, swap_on_epoch):
    whole = small()
    watch = fit(whole, x, 3, validation_data=(x,))
    for order in (0, 1):
        model = small()
        callbacks = [Watch()]
        callbacks.insert(order, keras.callbacks.SwapEMAWeights(swap_on_epoch))
        seen = fit(model, x, 3, callbacks, validation_data=(x,))
        same(seen.epochs, watch.epochs, 0)
        same(seen.validations, watch.validations, 0)
        same(state(model), state(whole), 0)
    losses = [whole.evaluate(x, verbose=0, callbacks=given) for given in (None, [keras.callbacks.SwapEMAWeights()])]
    assert losses[0] == losses[1]


def test_callbacks_in_a_list_of_keras(x):
    model, whole = small(), small()
    fit(whole, x, 2)
    model.run_eagerly = EAGER
    callbacks = keras.callbacks.CallbackList([Watch()], add_history=True, model=model, epochs=2, verbose=0, steps=2)
    model.fit(x, batch_size=8, epochs=2, shuffle=False, verbose=0, callbacks=callbacks)
    same(state(model), state(whole), 0)
    same(callbacks.callbacks[1].epochs[-1], flat(whole.trainable_variables), 0)


def test_default_diffusion_model_is_near_its_training_loss(x):
    """The first weights are out of the average after 120 steps, and after 40."""
    keras.utils.set_random_seed(0)
    model = DiffusionModel((2,), network={"class": "MLP", "width": 32})
    data = np.random.default_rng(0).normal([1.0, -1.0], 0.05, (960, 2)).astype("float32")
    model.compile()
    untrained = model.evaluate(data, verbose=0)
    before = flat(model.trainable_variables)
    for steps in (40, 80):
        watch = Watch()
        losses = model.fit(data[: 8 * steps], batch_size=8, verbose=0, callbacks=[watch]).history["loss"]
        moved = np.linalg.norm(flat(model.trainable_variables) - before) / np.linalg.norm(watch.steps[-1] - before)
        assert moved > 0.8
        before = flat(model.trainable_variables)
    assert model.evaluate(data, verbose=0) < min(0.6 * untrained, 1.1 * losses[-1])


@pytest.mark.backend("tensorflow")
def test_replicas_average_once(x):
    import tensorflow as tf

    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        model = small()
    watch = fit(model, x, 3, eager=False, validation_data=(x,))
    same(flat(model.trainable_variables), averages_of(watch.steps)[-1])
    same(watch.epochs, averages_of(watch.steps)[1::2])
    for variable in model.trainable_variables:
        here, there = (value.numpy() for value in strategy.experimental_local_results(variable.value))
        same(here, there, 0)
    same(model.optimizer.variables[-2], 6, 0)
