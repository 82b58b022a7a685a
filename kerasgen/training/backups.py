"""The backups of a run: its whole state, in files of which the newest good one counts."""

import json
import os
import time
import warnings
import zipfile
from pathlib import Path

import keras
import numpy as np

from kerasgen.errors import CheckpointError, RunStopped
from kerasgen.typing import Any

PATTERN = "step-*.npz"


def state_of(model: Any) -> list:
    """All variables that training changes: weights, seeds, running means, and those of the optimizer."""
    return [*model.variables, *model.metrics_variables, *model.optimizer.variables]


class Backup(keras.callbacks.Callback):
    """Keeps the whole state of training in files, at the end of every epoch and every `interval` seconds.

    `keras.callbacks.BackupAndRestore` leaves out the seed generators, without which a resumed run draws other noise,
    and writes weights and epoch in two steps. Here a run that is stopped at any moment, within an epoch or while it
    writes, goes on from the newest whole file as if it had not been: with the running means of that epoch, too.

    A file that cannot be written, on a full disk, is warned of, and the one before is kept. A file that is damaged is
    warned of, and the one before is taken.

    Args:
        folder: of the files, step-00001234.npz.
        steps: in an epoch.
        keep: how many of the newest files to keep.
        interval: seconds between files within an epoch.
        monitor: a figure of the epochs' logs; the state with the least is kept, too, in best.npz.
        writes: whether to write; of several processes that train together one does, and all read.
    """

    def __init__(
        self,
        folder: Path,
        steps: int,
        keep: int = 2,
        interval: float = 600.0,
        monitor: str | None = None,
        writes: bool = True,
    ) -> None:
        super().__init__()
        self.folder = folder
        self.steps = steps
        self.keep = keep
        self.interval = interval
        self.monitor = monitor
        self.writes = writes
        self.step = 0  # steps done
        self.seconds = 0.0  # that they took
        self.training = False  # whether `fit` is at work
        self.stopping = False
        self._best = float("inf")
        self._means: dict[int, np.ndarray] = {}  # of an epoch that was begun before, by place in the state
        self._first = 0  # steps done when `fit` began its epoch

    # Files

    def files(self) -> list[Path]:
        """Those there are, the newest first."""
        return sorted(self.folder.glob(PATTERN), reverse=True)

    def restore(self, model: Any) -> int:
        """Brings model and optimizer to the state in the newest good file, if there is any; returns the steps done.

        Raises `CheckpointError`: it is the state of another model.
        """
        for path in self.folder.glob("*.tmp") if self.writes else ():  # of a kill while it was written
            path.unlink()
        for path in self.files():
            if (content := self._read(path, state_of(model))) is not None:
                facts, values = content
                self._assign(model, values)
                self.step, self.seconds, self._best = facts["step"], facts["seconds"], facts["best"]
                if self.step % self.steps:
                    means = {id(variable) for variable in model.metrics_variables}
                    places = (index for index, v in enumerate(state_of(model)) if id(v) in means)
                    self._means = {index: values[index] for index in places}
                return self.step
        return 0

    def restore_best(self, model: Any) -> None:
        """Brings the model to the state of the epoch with the least of what is monitored, if there is one."""
        path = self.folder / "best.npz"
        if path.exists() and (content := self._read(path, state_of(model))) is not None:
            self._assign(model, content[1])

    def _assign(self, model, values):
        for variable, value in zip(state_of(model), values, strict=True):
            variable.assign(value)

    def _read(self, path, variables):
        """Facts and values in a file; `None`, and a warning, if it is damaged."""
        try:
            with zipfile.ZipFile(path) as archive:
                if (damaged := archive.testzip()) is not None:
                    raise zipfile.BadZipFile(f"{damaged} has another checksum")
            with np.load(path, allow_pickle=False) as file:
                facts = json.loads(str(file["facts"]))
                values = [file[f"{index}"] for index in range(len(facts["paths"]))]
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            warnings.warn(f"the backup {path} is damaged ({error}); the run goes on from the one before.", stacklevel=2)
            return None
        if [(p, a.shape) for p, a in zip(facts["paths"], values, strict=True)] != [
            (v.path, v.shape) for v in variables
        ]:
            raise CheckpointError(f"{path} is the state of another model; train in a new folder.")
        return facts, values

    def _write(self, path, model):
        """Whole or not at all; on a failure, a warning."""
        variables = state_of(model)
        arrays = {f"{index}": keras.ops.convert_to_numpy(v) for index, v in enumerate(variables)}
        facts = {"step": self.step, "seconds": self.seconds, "best": self._best, "paths": [v.path for v in variables]}
        temporary = path.with_suffix(".tmp")
        if not self.writes:
            return False
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with open(temporary, "wb") as file:
                np.savez(file, facts=json.dumps(facts), **arrays)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            warnings.warn(f"the backup {path} could not be written ({error}); the one before is kept.", stacklevel=2)
            return False
        return True

    def _save(self):
        self.seconds = time.monotonic() - self._start
        self._saved = time.monotonic()
        if self._write(self.folder / f"step-{self.step:08d}.npz", self.model):
            for path in self.files()[self.keep :]:
                path.unlink()

    # Moments of training

    def stop(self) -> None:
        """Ends training after the step at work, with a backup: `fit` raises `RunStopped`."""
        self.stopping = True

    def on_train_begin(self, logs: Any = None) -> None:
        self.training = True
        self._saved = time.monotonic()
        self._start = self._saved - self.seconds

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._first = self.step
        if self._means:
            variables = state_of(self.model)
            for index, value in self._means.items():
                variables[index].assign(value)
            self._means = {}

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.step = self._first + batch + 1
        if self.step % self.steps == 0:
            return  # the end of the epoch comes
        if self.stopping or time.monotonic() - self._saved >= self.interval:
            self._save()
        self._leave()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.step = (epoch + 1) * self.steps
        value = None if self.monitor is None else float(np.squeeze((logs or {})[self.monitor]))
        if value is not None and value < self._best:
            self._best = value
            self._write(self.folder / "best.npz", self.model)
        self._save()
        self._leave()

    def on_train_end(self, logs: Any = None) -> None:
        self.training = False

    def _leave(self):
        if self.stopping:
            raise RunStopped(f"the run was stopped after step {self.step}; run it again, and it goes on from there.")
