"""A run that is stopped at any moment goes on as if it had not been."""

import contextlib
import csv
import importlib.util
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

import kerasgen
from kerasgen.cli.main import execute, parser
from kerasgen.errors import CheckpointError, InputError, RecipeError, RunStopped
from kerasgen.recipes import Recipe
from kerasgen.training import budget
from kerasgen.training.run import train
from tests.model_case import write_pictures

RECIPE = """
name = "tiny"
description = "Squares in four places."
[dataset]
source = "{source}"
train_split = "train"
validation_split = "test"
test_split = "test"
image_size = 8
channels = 1
labels = true
flip = true
[model]
class = "VariationalAutoencoder"
[model.config]
shape = [8, 8, 1]
latent_dim = 2
width = 4
num_classes = 2
[training]
epochs = 2
batch_size = 4
optimizer = "adamw"
learning_rate = 3e-3
schedule = "cosine"
warmup_steps = 4
ema_momentum = 0.9
[evaluation]
num_samples = 6
grid = 4
num_importance_samples = 4
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """Six steps an epoch."""
    folder = tmp_path_factory.mktemp("pictures")
    write_pictures(folder / "data")
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(source=folder / "data"))
    return Recipe.load(path)


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory):
    """The folder of a run that nothing stopped."""
    workdir = tmp_path_factory.mktemp("whole")
    train(recipe, workdir, verbose=0)
    return workdir


def state(workdir):
    """The arrays of the newest backup; its facts without the seconds."""
    with np.load(max((workdir / "backups").glob("step-*.npz"))) as file:
        arrays = dict(file)
    facts = json.loads(str(arrays.pop("facts")))
    return arrays, {name: value for name, value in facts.items() if name != "seconds"}


def assert_same_run(one, other):
    a, b = state(one), state(other)
    assert a[1] == b[1]
    for name, value in a[0].items():
        np.testing.assert_array_equal(value, b[0][name], err_msg=name)
    assert (one / "log.csv").read_text() == (other / "log.csv").read_text()
    for x, y in zip(*(kerasgen.load(f / "checkpoint").get_weights() for f in (one, other)), strict=True):
        np.testing.assert_array_equal(x, y)


@contextlib.contextmanager
def warned(pattern):
    """Something within warns so. `pytest.warns` warns again of all else, which filters by module then do not know."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        yield
    assert [w for w in found if re.search(pattern, str(w.message))]


class Terminate:
    """A callback that sends this process SIGTERM in a step."""

    def __new__(cls, step):
        import keras

        class Callback(keras.callbacks.Callback):
            seen = 0

            def on_train_batch_begin(self, batch, logs=None):
                Callback.seen += 1
                if Callback.seen == step:
                    os.kill(os.getpid(), signal.SIGTERM)

        return Callback()


def stop_at(recipe, workdir, step):
    """A run that SIGTERM ends in its so-manieth step."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RunStopped, match="was stopped after step"):
        train(recipe, workdir, verbose=0, callbacks=[Terminate(step)])
    assert signal.getsignal(signal.SIGTERM) is before
    assert not (workdir / "checkpoint").exists()


def test_sigterm_ends_the_step_and_the_run_goes_on(recipe, whole, tmp_path):
    """Within the first epoch, then within the second: data order, noise, running means, schedule, averages."""
    stop_at(recipe, tmp_path, 4)
    assert state(tmp_path)[1]["step"] == 4
    stop_at(recipe, tmp_path, 5)
    assert state(tmp_path)[1]["step"] == 9
    train(recipe, tmp_path, verbose=0)
    assert_same_run(whole, tmp_path)


def test_damaged_backups_are_passed_over(recipe, whole, tmp_path):
    stop_at(recipe, tmp_path, 9)
    newest, before = sorted((tmp_path / "backups").iterdir(), reverse=True)
    assert [path.name for path in (newest, before)] == ["step-00000009.npz", "step-00000006.npz"]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    with warned(r"step-00000009.npz is damaged .* the one before"):
        stop_at(recipe, tmp_path, 4)
    assert state(tmp_path)[1]["step"] == 10
    newest = max((tmp_path / "backups").iterdir())
    newest.write_bytes(newest.read_bytes()[:1000])  # the one before is damaged still
    with warned("damaged"):
        train(recipe, tmp_path, verbose=0)
    assert_same_run(whole, tmp_path)
    other = recipe.override(["model.config.latent_dim=3"])
    (tmp_path / "recipe.toml").write_text(other.to_toml())
    with pytest.raises(CheckpointError, match="another model"):
        train(other, tmp_path, verbose=0)


def test_a_full_disk(recipe, whole, tmp_path):
    """The operating system refuses to write more than the first backup takes; training goes on."""
    limits, blocked = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
        with warned("could not be written .* the one before is kept"):
            stop_at(recipe, tmp_path, 9)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, blocked)
    assert list((tmp_path / "backups").iterdir()) == []
    train(recipe, tmp_path, verbose=0)
    assert_same_run(whole, tmp_path)


def test_the_best_state_is_kept(recipe, tmp_path):
    """Of an epoch before the last, if its figure was less, with the averaged weights that were validated."""
    rising = ["training.monitor=val_kl_divergence", "training.schedule=constant", "training.learning_rate=0.05"]
    folder = train(recipe.override([*rising, "training.epochs=8"]), tmp_path, verbose=0)
    rows = kerasgen.hub.registry.read_log(tmp_path)
    values = [float(row["val_kl_divergence"]) for row in rows]
    assert min(values) < values[-1]
    images, labels = kerasgen.data.load_arrays(recipe.dataset.source, "test", 8, channels=1)
    model = kerasgen.load(folder)
    model.compile()
    found = model.evaluate(images, labels, batch_size=4, verbose=0, return_dict=True)["kl_divergence"]
    assert found == pytest.approx(min(values), rel=1e-2)  # but for float16


def test_epochs_of_fewer_steps(recipe, whole, tmp_path):
    """Four epochs of three steps see what two of six do."""
    short = train(recipe.override(["training.epochs=4", "training.steps_per_epoch=3"]), tmp_path, verbose=0)
    for x, y in zip(*(kerasgen.load(f).get_weights() for f in (short, whole / "checkpoint")), strict=True):
        np.testing.assert_array_equal(x, y)


def test_budget(recipe, tmp_path, monkeypatch):
    """Of 0.9 of the time, in whole epochs, or as many steps of one; what was chosen is kept."""
    monkeypatch.setattr(budget, "pace", lambda recipe, seconds: 0.01 * seconds)
    told, long = [], recipe.override(["training.epochs=10000"])
    chosen = budget.within(long, "2s", tmp_path, told.append)  # 5 % to measure, 0.001 s a step, 1800 steps of 6
    assert (chosen.training.epochs, chosen.training.steps_per_epoch, chosen.training.warmup_steps) == (300, None, 4)
    assert "A step takes 0.001 s here: 2s are 300 epochs of 6 steps, where the recipe has 10000 of 6." in told
    (tmp_path / "recipe.toml").write_text(chosen.to_toml())
    assert budget.within(long, "9s", tmp_path, told.append) == chosen
    assert "goes on" in told[1]
    assert (
        budget.within(recipe, "2s", tmp_path / "other", told.append).training.epochs == 2
    )  # no more than the recipe's
    monkeypatch.setattr(budget, "pace", lambda recipe, seconds: 0.1)
    monkeypatch.setattr(budget, "num_batches", lambda recipe: 1000)
    chosen = budget.within(long, "10s", tmp_path / "other", told.append)
    assert (chosen.training.epochs, chosen.training.steps_per_epoch) == (1, 90)
    with pytest.raises(RecipeError, match=r"are 9 steps; expected 20 or more: a budget of 2s"):
        budget.within(recipe, "1s", tmp_path / "other", told.append)
    for text in ("25", "0m", "-3s", "1.5d"):
        with pytest.raises(RecipeError, match="expected a time such as"):
            budget.seconds_of(text)
    assert [budget.seconds_of(text) for text in ("90s", "25m", "1.5h")] == [90.0, 1500.0, 5400.0]


def test_the_pace_of_this_machine(recipe):
    assert 0.0 < budget.pace(recipe, 0.1) < 60.0


def test_first_batch_is_for_endless_data(squares):
    with pytest.raises(InputError, match="first_batch is 1"):
        kerasgen.data.load(squares[0], first_batch=1)


def test_the_command_exits_with_0(recipe, tmp_path):
    """On SIGTERM, whatever it is doing; killed within its saves, it goes on."""
    path = tmp_path / "recipe.toml"
    path.write_text(recipe.override(["training.epochs=2000"]).to_toml())
    command = [sys.executable, "-m", "kerasgen", "train", str(path), "--workdir", str(tmp_path / "run")]
    process = subprocess.Popen([*command, "--backup-every", "0"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    backups = tmp_path / "run" / "backups"
    while not list(backups.glob("step-*.npz")):
        assert process.poll() is None, process.stderr.read().decode()
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate()
    assert process.returncode == 0, stderr.decode()
    assert "the run was stopped after step" in stderr.decode()


def test_curves_for_tensorboard(recipe, tmp_path, monkeypatch, capsys):
    """Another program reads from them what log.csv has."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    path, run = tmp_path / "recipe.toml", tmp_path / "run"
    path.write_text(recipe.to_toml())

    def command(workdir):
        return execute(parser().parse_args(["train", str(path), "--workdir", str(workdir), "--tensorboard"]))

    assert command(run) == 0
    with open(run / "log.csv") as file:
        log = list(csv.DictReader(file))
    for part, name in (("train", "loss"), ("validation", "val_loss")):
        curves = EventAccumulator(str(run / "tensorboard" / part)).Reload()
        values = [float(make_ndarray(event.tensor_proto)) for event in curves.Tensors("epoch_loss")]
        np.testing.assert_allclose(values, [float(row[name]) for row in log], rtol=1e-5)

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert command(tmp_path / "other") == 1
    assert "pip install tensorboard" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
