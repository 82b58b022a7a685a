"""Whatever raises inside one of Keras' calls, the model is as after its last whole step, and goes on."""

import _thread
import signal
import threading

import keras
import numpy as np
import pytest
from keras import ops

import kerasgen
from kerasgen import DiffusionModel

X = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)
NETWORK = {"class": "MLP", "width": 8, "depth": 1}


class Failure(Exception):
    pass


def make(cls=DiffusionModel):
    """Its default optimizer averages weights, and its steps draw noise: weights, state and seeds all move."""
    keras.utils.set_random_seed(0)
    model = cls(shape=(3,), network=NETWORK)
    model.compile(keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9))
    return model


def state(model):
    """Weights, seeds and the optimizer's state."""
    return [ops.convert_to_numpy(v) for v in (*model.weights, model.seed_generator.state, *model.optimizer.variables)]


def assert_same(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def assert_usable(model, tmp_path=None):
    assert np.isfinite(model.sample(2, seed=0, steps=2, verbose=0)).all()
    if tmp_path:
        model.save(tmp_path)
        assert_same(kerasgen.load(tmp_path).get_weights()[:1], model.get_weights()[:1])
    assert np.isfinite(model.fit(X, batch_size=4, verbose=0).history["loss"]).all()
    assert np.isfinite(model.evaluate(X, batch_size=4, verbose=0))


class Recorder(keras.callbacks.Callback):
    """The state before the first step and after each; reads a model's variables as anybody may, not by `self.model`."""

    def __init__(self, of):
        super().__init__()
        self.of, self.states = of, [state(of)]

    def on_train_batch_end(self, batch, logs=None):
        self.states.append(state(self.of))


class Raises(keras.callbacks.Callback):
    """Raises in one of its methods, at one of its calls."""

    def __init__(self, method, call, error):
        super().__init__()
        self.calls = 0

        def raises(*args, **kwargs):
            self.calls += 1
            if self.calls == call:
                raise error

        setattr(self, method, raises)


def batches(fails_at, error):
    for i in range(6):
        if i == fails_at:
            raise error
        yield (X[:4],)


ERRORS = [Failure("on purpose"), KeyboardInterrupt()]
PLACES = {
    "first batch begins": ("on_train_batch_begin", 1, 0),
    "third batch begins": ("on_train_batch_begin", 3, 2),
    "third batch ends": ("on_train_batch_end", 3, 3),
    "validation": ("on_test_batch_end", 1, 4),
    "end of an epoch": ("on_epoch_end", 1, 4),
}


@pytest.fixture(scope="module")
def model():
    return make()


@pytest.mark.parametrize("error", ERRORS, ids=["error", "interrupt"])
@pytest.mark.parametrize("place", PLACES)
def test_a_callback_of_fit_raises(model, place, error):
    method, call, steps = PLACES[place]
    recorder = Recorder(model)
    with pytest.raises(type(error)):
        callbacks = [recorder, Raises(method, call, error)]
        model.fit(X, batch_size=4, validation_data=(X,), verbose=0, callbacks=callbacks)
    assert len(recorder.states) == 1 + steps
    assert_same(state(model)[: len(model.weights)], recorder.states[-1][: len(model.weights)])
    if steps < 4:  # without validation, which draws noise
        assert_same(state(model), recorder.states[-1])


@pytest.mark.parametrize("error", ERRORS, ids=["error", "interrupt"])
@pytest.mark.parametrize("fails_at", [0, 2])
def test_the_data_raise(model, fails_at, error):
    # TensorFlow's pipelines give an error of their own.
    raised = (Exception, KeyboardInterrupt) if keras.backend.backend() == "tensorflow" else type(error)
    recorder = Recorder(model)
    with pytest.raises(raised):
        model.fit(batches(fails_at, error), verbose=0, callbacks=[recorder])
    assert_same(state(model), recorder.states[-1])
    before = state(model)
    with pytest.raises(raised):
        model.evaluate(batches(fails_at, error), verbose=0)
    assert_same(state(model)[: len(model.weights)], before[: len(model.weights)])


@pytest.mark.parametrize("call", ["train_on_batch", "test_on_batch", "predict_on_batch", "predict", "fit", "evaluate"])
def test_every_call_fails_on_what_it_cannot_take(call, tmp_path):
    model = make()
    model.train_on_batch(X)
    before = state(model)
    with pytest.raises(Exception):  # noqa: B017 - whatever it is
        getattr(model, call)(X[:, :2])
    assert_same(state(model), before)
    assert_usable(model, tmp_path)


class FailsInside(DiffusionModel):
    """Fails inside a program, at the call of this number."""

    fails_at = 0
    calls = 0

    def losses(self, x, one_hot, training):
        losses, logs = super().losses(x, one_hot, training)
        if keras.backend.backend() == "jax":
            import jax

            jax.debug.callback(self.count, losses)
        else:
            self.count(losses)
        return losses, logs

    def count(self, losses):
        self.calls += 1
        if self.calls == self.fails_at:
            raise Failure("inside")


@pytest.mark.backend("jax", "torch")  # TensorFlow's programs may be half done
@pytest.mark.parametrize("fails_at", [1, 3, 4])
def test_a_step_fails_inside_its_program(fails_at):
    """Also the last one, whose failure nobody asks for."""
    twin = make()
    for i in range(fails_at - 1):
        twin.train_on_batch(X[4 * i : 4 * i + 4])
    model = make(FailsInside)
    model.fails_at = fails_at
    with pytest.raises(Exception, match="inside"):
        model.fit(X, batch_size=4, shuffle=False, verbose=0)
    assert_same(state(model), state(twin))
    assert_usable(model)


def interrupt(delay, done):
    """Interrupts after a delay, and again if it was lost, as in a `__del__`, or in Keras' `pythonify_logs`."""
    while not done.wait(delay):
        _thread.interrupt_main()
        delay = 5.0


@pytest.fixture
def interruptible():
    """Python's own handler of interrupts, which what a shell starts in the background does not have."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_interrupts_at_any_time():
    """The state after n steps is that of n steps without an interrupt."""
    model, recorder = make(), None
    for delay in (0.0, 0.05):
        done = threading.Event()

        class Starts(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None, delay=delay, done=done):
                if batch == 1:
                    threading.Thread(target=interrupt, args=(delay, done), daemon=True).start()

        recorder = Recorder(model)
        twin = make()
        try:
            with pytest.raises(KeyboardInterrupt):  # there are more steps than any interrupt waits for
                model.fit(np.tile(X, (100_000, 1)), batch_size=4, shuffle=False, verbose=0, callbacks=[Starts()])
        finally:
            done.set()
        variables = (*twin.weights, twin.seed_generator.state, *twin.optimizer.variables)
        for v, value in zip(variables, recorder.states[0], strict=True):
            v.assign(value)
        steps = int(model.optimizer.iterations) - int(twin.optimizer.iterations)
        for i in range(steps):
            twin.train_on_batch(np.tile(X, (2, 1))[4 * (i % 4) : 4 * (i % 4) + 4])
        for a, b in zip(state(model), state(twin), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_callbacks_see_the_current_weights():
    """At the end of each batch, by whatever they read the model with; and Keras' calls work inside of them."""
    model, seen = make(), []

    class Looks(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append((model.get_weights(), model.sample(2, seed=0, steps=2, verbose=0)))
            model.evaluate(X[:4], verbose=0)

    model.fit(X, batch_size=4, verbose=0, callbacks=[Looks()])
    other = make()
    assert len(seen) == 4
    for weights, samples in seen:
        other.set_weights(weights)
        np.testing.assert_allclose(other.sample(2, seed=0, steps=2, verbose=0), samples, rtol=1e-5, atol=1e-6)
    assert not np.allclose(seen[0][1], seen[1][1])


def test_what_a_callback_assigns_is_kept():
    model = make()

    class Zeros(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            for v in model.trainable_variables:
                v.assign(0.0 * v)

    model.optimizer.use_ema = False
    model.fit(X, batch_size=4, verbose=0, callbacks=[Zeros()])
    assert all(not w.any() for w in map(ops.convert_to_numpy, model.trainable_variables))
