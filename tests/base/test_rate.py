"""How many examples a second are done: what progress bars say."""

import itertools
import re

import keras
import numpy as np
import pytest

from kerasgen import AutoregressiveTransformer, VariationalAutoencoder
from kerasgen.autoencoders import bits_back
from kerasgen.base import program, rate, with_progress
from kerasgen.metrics import neighbours
from kerasgen.metrics.bootstrap import standard_error
from kerasgen.metrics.denoising import noisy_psnr
from kerasgen.modalities import Images, Tokens, Vectors

X = np.random.default_rng(0).random((100, 8, 8, 1), "float32")


class Clock:
    """A second passes with every look at it."""

    def __init__(self):
        self.perf_counter = itertools.count().__next__


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    monkeypatch.setattr(rate, "time", Clock())


def make(**settings):
    model = VariationalAutoencoder((8, 8, 1), latent_dim=2, encoder="dense", decoder="dense", width=4)
    model.compile(**settings)
    return model


def rates(text):
    """The rates in what a bar has printed, in order."""
    return re.findall(r"step - ([\d,.e+-]+ \w+/s)", text)


def test_the_first_part_counts_only_alone():
    bar = rate.Rate("images")
    assert [bar.at(done) for done in (64, 128, 160)] == [
        "step - 64 images/s",
        "step - 64 images/s",
        "step - 48 images/s",
    ]
    assert rate.Rate("images").at(0) == "step"
    assert rate.Rate("rows").at(12_345) == "step - 12,345 rows/s"
    assert [bar.at(done) for done in (160, 100)] == ["step - 48 images/s"] * 2
    bar = rate.Rate("sequences")
    bar.since -= 9
    assert bar.at(5) == "step - 0.5 sequences/s"


def test_batches_of_a_program(capfd):
    found = program.batched(lambda x: 2 * x, 100, program.rows(X), 64, 1, "images")
    np.testing.assert_array_equal(found, 2 * X)
    assert rates(capfd.readouterr().out)[-1] == "36 images/s"


@pytest.mark.parametrize("verbose", ["auto", 0])
def test_one_batch_or_silence(capfd, verbose):
    program.batched(lambda x: x, 64, program.rows(X), 64, verbose)
    assert not capfd.readouterr().out


def test_parts_without_examples(capfd):
    assert list(with_progress("abc")) == ["a", "b", "c"]
    printed = capfd.readouterr().out
    assert "3/3" in printed and "s/step" in printed and not rates(printed)
    list(with_progress(bits_back.blocks(5), 1, bits_back.size, "images"))
    assert rates(capfd.readouterr().out)[-1] == "1.3 images/s"  # 1, then 1, 2 and 1 more in three seconds


def test_figures_tell_how_far_they_are():
    """Each distance matrix a thousand rows at once, of held-out images and of samples; each resampling; each image."""
    told = []
    x = np.random.default_rng(0).random((2500, 3))
    neighbours.memorised(x, x[:100], x[:1500], verbose=lambda *parts: told.append(parts))
    assert told == [(1, 2), (2, 2), (1, 3), (2, 3), (3, 3)]
    for measure, times in ((neighbours.precision_and_recall, 4), (neighbours.density_and_coverage, 3)):
        told.clear()
        measure(x[:1500], x[:1500], verbose=lambda *parts: told.append(parts))
        assert told == [(1, 2), (2, 2)] * times
    told.clear()
    standard_error(lambda weights: weights[0], (4,), 3, verbose=lambda *parts: told.append(parts))
    noisy_psnr([np.zeros((8, 8, 1), np.uint8)] * 2, lambda x, level: x, 15, 0, lambda *parts: told.append(parts))
    assert told == [(1, 3), (2, 3), (3, 3), (1, 2), (2, 2)]


def test_what_models_call_their_examples(capfd):
    model = make()
    model.reconstruct(X, batch_size=32)
    assert rates(capfd.readouterr().out)[-1].endswith(" images/s")
    network = {"class": "Transformer", "width": 8, "depth": 1, "heads": 2}
    AutoregressiveTransformer((4,), network=network, vocabulary=["a", "b"]).log_prob(["abab"] * 5, batch_size=2)
    assert rates(capfd.readouterr().out)[-1].endswith(" sequences/s")
    assert (Images((8, 8, 1)).counted, Vectors((3,)).counted, Tokens.counted) == ("images", "vectors", "sequences")


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return X[:20]


def as_dataset():
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices(X).batch(20, drop_remainder=True)


DATA = {
    "array": (lambda: X, {"batch_size": 20}, 20),
    "array of Keras' own batches": (lambda: X, {}, 32),
    "small array": (lambda: X[:7], {}, 7),
    "tf.data": (as_dataset, {}, 20),
    "steps of tf.data": (lambda: as_dataset().repeat(), {"steps_per_epoch": 3}, 20),
    "generator": (lambda: (X[:20] for _ in range(6)), {"steps_per_epoch": 3}, 20),
    "PyDataset": (Batches, {}, 20),
    "several workers": (lambda: Batches(workers=2), {}, 20),
}


IN_TURN = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)  # no threads for callbacks


@pytest.mark.parametrize("name", DATA)
def test_fit(name, capfd):
    """The clock goes a second a step, so that the rate is the size of a batch; logs and history know nothing of it."""
    make_data, settings, size = DATA[name]
    found = []
    seen = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: found.append(logs))
    history = make().fit(make_data(), epochs=2, callbacks=[seen], validation_data=X[:50], **settings)
    printed = capfd.readouterr().out
    assert set(rates(printed)) == {f"{size} images/s"}
    assert printed.count("Epoch ") == 2
    assert not any("/s" in key for key in (*history.history, *found[0]))


@pytest.mark.parametrize("verbose", [0, 2])
def test_verbose_of_fit(verbose, capfd):
    make().fit(X, batch_size=20, verbose=verbose, callbacks=[IN_TURN])
    printed = capfd.readouterr().out
    assert rates(printed) == ["20 images/s"] * (verbose == 2)
    assert printed.count("\n") == verbose // 2


def test_a_bar_of_the_users_is_the_only_one(capfd):
    class Mine(keras.callbacks.ProgbarLogger):
        pass

    make().fit(X, callbacks=[Mine()])
    printed = capfd.readouterr().out
    assert "4/4" in printed and not rates(printed)
    model = make()
    model.fit(X, callbacks=keras.callbacks.CallbackList([], add_history=True, model=model))
    assert not rates(capfd.readouterr().out)


def test_several_batches_in_a_program(capfd):
    if keras.backend.backend() == "torch":
        pytest.skip("PyTorch has no steps_per_execution")
    make(steps_per_execution=2).fit(X, batch_size=25, callbacks=[IN_TURN])
    assert set(rates(capfd.readouterr().out)) == {"50 images/s"}


def test_other_callbacks_may_still_be_called_beside_the_steps(monkeypatch):
    """Keras does so where all callbacks allow it, as on JAX and PyTorch."""
    found = []
    init = keras.callbacks.CallbackList.__init__

    def watched(self, *args, **kwargs):
        init(self, *args, **kwargs)
        found.append(self._async_train)

    monkeypatch.setattr(keras.callbacks.CallbackList, "__init__", watched)
    make().fit(X, verbose=1)
    assert found[0] == (keras.backend.backend() != "tensorflow")
