"""Compiled programs: numbers are their inputs, few are kept, and they are those of the layers as they are."""

import gc
import threading
import weakref

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasgen import DiffusionModel, FlowMatching
from kerasgen.base import program as programs
from kerasgen.diffusion.samplers import DDIM
from kerasgen.diffusion.sampling import Structure
from kerasgen.errors import InputError
from kerasgen.typing import Any

X = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)
compiles = pytest.mark.backend("tensorflow", "jax")  # PyTorch runs everything as it is


def make(family: Any = DiffusionModel, **settings: Any) -> Any:
    """A model of three classes with weights that matter."""
    model = family(shape=(3,), num_classes=3, network={"class": "MLP", "width": 8, "depth": 1}, **settings)
    rng = np.random.default_rng(0)
    for v in model.trainable_variables:
        v.assign(0.3 * rng.standard_normal(v.shape))
    return model


@pytest.fixture(scope="module")
def model():
    return make()


@pytest.fixture
def traced(model, monkeypatch):
    """How often each step was traced."""
    counts = {}

    def counted(name):
        step = getattr(model, name)

        def count(*args):
            counts[name] = counts.get(name, 0) + 1
            return step(*args)

        return count

    for name in ("sample_step", "edit_step", "inpaint_step"):
        monkeypatch.setattr(model, name, counted(name))
    return counts


SETTINGS = {
    "temperature": [{"temperature": t} for t in (1.0, 0.5, 0.0)],
    "guidance": [{"guidance": g} for g in (0.0, 1.5, 3.0)],
    "eta": [{"sampler": DDIM(eta=eta)} for eta in (0.2, 0.7, 1.0)],
    "spacing": [{"spacing": spacing} for spacing in ("trailing", "leading")],
}


@compiles
@pytest.mark.parametrize("name", SETTINGS)
def test_numbers_are_inputs(model, traced, name):
    """One program for all values, and what it gives is what a program of its own gives."""
    found = [model.sample(2, seed=0, steps=3, verbose=0, **settings) for settings in SETTINGS[name]]
    assert traced == {"sample_step": 1}
    for settings, samples in zip(SETTINGS[name], found, strict=True):
        model.programs.clear()
        np.testing.assert_array_equal(model.sample(2, seed=0, steps=3, verbose=0, **settings), samples)
    assert not np.allclose(found[0], found[1])


@compiles
def test_strength_is_an_input(model, traced):
    strengths = (0.2, 0.5, 1.0)
    found = [model.edit(X[:2], strength, labels=[0, 1], seed=0, steps=5, verbose=0) for strength in strengths]
    assert traced == {"edit_step": 1}
    assert np.abs(found[0] - X[:2]).mean() < np.abs(found[2] - X[:2]).mean()


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpm++", "unipc", "heun"])
def test_tables_that_are_longer_than_the_run(model, sampler):
    """What they have beyond its steps changes nothing."""
    sampler = model.sampling_options(sampler).make_sampler()
    levels = model.levels(3, "trailing")
    structure = Structure(sampler, clip=False)
    key = np.array([[1, 2]] * 2, np.int32)
    condition = model.condition_for(ops.convert_to_tensor([0, 1]))

    def solve(size):
        def step(x, key, numbers):
            return model.solve(x, key, condition, numbers, structure)

        return model.run(
            step, 2, lambda start, stop: [X[:2], key], 2, 0, shared=(model.numbers(sampler, levels, size),)
        )

    np.testing.assert_allclose(solve(7), solve(3), rtol=1e-6)


def test_few_programs_are_kept(model, monkeypatch):
    monkeypatch.setattr(programs, "MOST_PROGRAMS", 3)
    model.programs.clear()
    first = model.sample(2, seed=0, steps=1, verbose=0)
    for size in (1, 2, 4, 8):
        model.sample(size, seed=0, steps=1, verbose=0)
    assert len(model.programs._kept) <= 3
    np.testing.assert_array_equal(model.sample(2, seed=0, steps=1, verbose=0), first)


def test_callbacks_go_through_one_relay(model, traced):
    """A program calls the function of this call, and keeps none."""
    functions = []
    for steps in (3, 3, 3):
        done = []
        callback = lambda step, done=done: done.append(step)  # noqa: E731 - a new function object each time
        functions.append(weakref.ref(callback))
        model.sample(3, seed=0, steps=steps, batch_size=2, verbose=0, callback=callback)
        assert done == [1, 2, 3, 1, 2, 3]
    if keras.backend.backend() != "torch":
        assert traced == {"sample_step": 1}
    del callback
    gc.collect()
    assert [reference() for reference in functions] == [None] * 3


def test_what_a_callback_raises_is_raised(model):
    def stop(step):
        raise KeyError("enough")

    for _ in range(2):
        with pytest.raises(KeyError, match="enough"):
            model.sample(3, seed=0, steps=2, batch_size=2, verbose=0, callback=stop)
    assert np.isfinite(model.sample(2, seed=0, steps=2, verbose=0)).all()


def dense_of(model):
    return next(layer for layer in model._flatten_layers() if isinstance(layer, layers.Dense))


def draw(model):
    return model.sample(2, seed=0, steps=2, verbose=0)


def test_an_adapter_is_in_the_samples():
    model = make()
    before = draw(model)
    dense = dense_of(model)
    dense.enable_lora(2)
    np.testing.assert_allclose(draw(model), before, atol=1e-6)  # it starts at zero
    model.compile(keras.optimizers.Adam(0.1))
    model.fit(X, np.arange(16) % 3, verbose=0)
    after = draw(model)
    assert ops.convert_to_numpy(dense.lora_kernel_b).any()
    model.programs.clear()
    np.testing.assert_array_equal(draw(model), after)
    dense.lora_kernel_b.assign(0.0 * dense.lora_kernel_b)
    assert not np.allclose(draw(model), after, atol=1e-4)


def test_an_adapter_without_compile_is_an_error():
    """The optimizer does not know it; Keras' own program for training would leave it out without a word."""
    model = make()
    model.compile()
    model.train_on_batch(X, np.arange(16) % 3)
    dense_of(model).enable_lora(2)
    with pytest.raises(Exception):  # noqa: B017 - Keras' own, which differs between backends
        model.fit(X, np.arange(16) % 3, verbose=0)


@pytest.mark.parametrize("of", ["model", "layer"])
def test_quantized_layers_are_in_the_samples(of):
    model = make()
    before = draw(model)
    (model if of == "model" else dense_of(model)).quantize("int8")
    after = draw(model)
    assert not np.array_equal(before, after)
    model.programs.clear()
    np.testing.assert_array_equal(draw(model), after)


def test_a_new_dtype_policy_is_in_the_samples():
    model = make(FlowMatching)
    before = draw(model)
    for layer in model._flatten_layers():
        layer.dtype_policy = "mixed_bfloat16"
    assert not np.array_equal(draw(model), before)


def in_threads(*functions):
    """What the functions give or raise, each in a thread, all at once."""
    results = [None] * len(functions)

    def run(i, function):
        try:
            results[i] = function()
        except Exception as error:
            results[i] = error

    threads = [threading.Thread(target=run, args=item) for item in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_six_threads_train_six_models():
    models = [make() for _ in range(6)]
    for m in models:
        m.compile()
    labels = np.arange(16) % 3
    results = in_threads(*(lambda m=m: m.fit(X, labels, batch_size=8, verbose=0).history["loss"] for m in models))
    assert all(isinstance(r, list) and np.isfinite(r).all() for r in results), results


def test_threads_sample_one_model():
    model = make()
    results = in_threads(*(lambda seed=seed: model.sample(2, seed=seed, steps=2, verbose=0) for seed in range(4)))
    for seed, samples in enumerate(results):
        np.testing.assert_array_equal(samples, model.sample(2, seed=seed, steps=2, verbose=0))


def test_another_thread_during_fit(tmp_path):
    """`sample`, `save` and the rest say that `fit` runs; in its own thread they work."""
    model = make()
    model.compile()
    labels = np.arange(16) % 3
    calls = {
        "sample": lambda: draw(model),
        "save": lambda: model.save(tmp_path / "model"),
        "evaluate": lambda: model.evaluate(X, labels, verbose=0),
        "fit": lambda: model.fit(X, labels, verbose=0),
    }
    found = []

    class Calls(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            found.extend(in_threads(*calls.values()))
            found.append(draw(model))

    model.fit(X, labels, verbose=0, callbacks=[Calls()])
    *errors, samples = found
    assert [type(error) for error in errors] == [InputError] * 4, errors
    assert all("fit of this model runs in another thread" in str(error) for error in errors)
    assert np.isfinite(samples).all() and np.isfinite(draw(model)).all()


def test_short_calls_wait():
    """Threads that evaluate, take steps and sample in turns all get what is theirs."""
    model = make()
    model.compile()
    labels = np.arange(16) % 3
    calls = (
        lambda: model.evaluate(X, labels, verbose=0),
        lambda: model.train_on_batch(X, labels),
        lambda: float(draw(model).mean()),
    )
    results = in_threads(*calls * 3)
    assert all(np.isfinite(result).all() for result in results), results
    assert int(model.optimizer.iterations) == 3
