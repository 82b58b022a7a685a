"""Two processes on loopback train as one device does, on the global batch, whatever their shares of it."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
import pytest

import kerasgen
from kerasgen.errors import InputError
from tests.model_case import write_pictures
from tests.test_replicas import FAMILIES, assert_same_training

WORKER = Path(__file__).with_name("worker.py")
STRATEGY = "multi_worker" if keras.backend.backend() == "tensorflow" else "data_parallel"
pytestmark = pytest.mark.backend("tensorflow", "jax")


def free_ports(number):
    with_ports = [socket.socket() for _ in range(number)]
    for each in with_ports:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in with_ports]
    for each in with_ports:
        each.close()
    return ports


def start(command, settings):
    """A process of Python with one device."""
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"} | settings
    environment["PYTHONPATH"] = str(WORKER.parents[1])
    command = [sys.executable, *map(str, command)]
    with tempfile.NamedTemporaryFile("w+", delete=False) as told:  # a pipe that nobody reads would stop it
        process = subprocess.Popen(command, env=environment, stdout=told, stderr=subprocess.STDOUT)
    process.told = Path(told.name)
    return process


def end_of(process, seconds=300):
    """What a process has told, once it has ended."""
    process.wait(seconds)
    told = process.told.read_text()
    process.told.unlink()
    return told


def workers(command):
    """Two workers, which find each other on loopback."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    for number in (0, 1):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": number}}
        settings = {"TF_CONFIG": json.dumps(task), "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo"}
        settings |= {"KERAS_DISTRIBUTION_JOB_ADDRESSES": ",".join(addresses), "KERAS_DISTRIBUTION_NUM_PROCESSES": "2"}
        yield start(command, settings | {"KERAS_DISTRIBUTION_PROCESS_ID": str(number)})


def finish(processes):
    for process in processes:
        told = end_of(process)
        assert process.returncode == 0, told


def assert_two_are_one(families, squares, folder):
    x, y = squares
    if keras.backend.backend() == "tensorflow":  # which parts batches of one, too
        x, y = np.concatenate([x, 255 - x[:1]]), np.append(y, 3)
    np.savez(folder / "batches.npz", x=x, y=y)
    names = ",".join(families)
    finish(list(workers([WORKER, folder / "batches.npz", names, folder / "two.npz", STRATEGY])))
    finish([start([WORKER, folder / "batches.npz", names, folder / "one.npz", "auto"], {})])
    with np.load(folder / "one.npz") as one, np.load(folder / "two.npz") as two:
        assert set(one) == set(two)
        for family in families:
            assert_same_training(family, *(of_family(file, family) for file in (one, two)))


def of_family(file, family):
    """Its weights in their order, and its logs."""
    names = [name for name in file if name.startswith(f"{family}/")]
    logs = {name.rpartition("/")[2]: file[name] for name in names if "/log/" in name}
    return [file[name] for name in names if "/log/" not in name], logs


def test_two_workers_are_one(squares, tmp_path):
    assert_two_are_one(["vae"], squares, tmp_path)


@pytest.mark.slow
def test_two_workers_are_one_in_every_family(squares, tmp_path):
    assert_two_are_one(list(FAMILIES), squares, tmp_path)


RECIPE = """
name = "tiny"
description = "Squares on one of two sides."
[dataset]
source = "{source}"
train_split = "train"
validation_split = "test"
test_split = "test"
image_size = 8
channels = 1
[model]
class = "VariationalAutoencoder"
[model.config]
shape = [8, 8, 1]
latent_dim = 2
width = 4
[training]
epochs = 15
batch_size = 4
optimizer = "adam"
learning_rate = 3e-3
ema_momentum = 0.9
[evaluation]
grid = 4
num_importance_samples = 4
num_samples = 4
"""


@pytest.mark.slow
def test_a_worker_is_killed(tmp_path):
    """The other ends within a minute, and says why; all started again, they end as if nothing had happened."""
    write_pictures(tmp_path / "data")
    (tmp_path / "recipe.toml").write_text(RECIPE.format(source=tmp_path / "data"))
    command = ["-m", "kerasgen", "train", tmp_path / "recipe.toml", "--strategy", STRATEGY, "--workdir"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(list(workers([*command, whole])))
    first, second = workers([*command, killed])
    while not list((killed / "backups").glob("step-*30.npz")):
        assert first.poll() is None, end_of(first)
        time.sleep(0.01)
    second.send_signal(signal.SIGKILL)
    told = end_of(first, 60)
    end_of(second)
    assert first.returncode == 1
    assert "another of the 2 processes is gone" in told
    finish(list(workers([*command, killed])))
    assert (whole / "log.csv").read_text() == (killed / "log.csv").read_text()
    for a, b in zip(*(kerasgen.load(f / "checkpoint").get_weights() for f in (whole, killed)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_names_of_strategies(monkeypatch):
    assert kerasgen.strategy("auto").scope() is not None
    with pytest.raises(InputError, match="strategy is 'horovod'"):
        kerasgen.strategy("horovod")
    if keras.backend.backend() == "tensorflow":
        monkeypatch.delenv("TF_CONFIG", raising=False)
        with pytest.raises(InputError, match="multi_worker needs TF_CONFIG"):
            kerasgen.strategy("multi_worker")
