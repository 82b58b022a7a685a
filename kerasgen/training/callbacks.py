"""Callbacks of a training run: its backup and its sample grids."""

import csv
import json
import math
import os
import time
from pathlib import Path

import keras
import numpy as np

from kerasgen.base import Exhibit
from kerasgen.errors import CheckpointError, KerasgenError
from kerasgen.typing import Any, Callable


class Backup(keras.callbacks.Callback):
    """Keeps the whole state of training in one file, replaced after every epoch.

    `keras.callbacks.BackupAndRestore` leaves out the seed generators, without which a resumed run draws other noise,
    and writes weights and epoch in two steps. Here a kill at any moment leaves the state of a whole epoch: every
    variable of the model and its optimizer, the epochs done and the seconds they took.
    """

    def __init__(self, path: Path):
        super().__init__()
        self.path = path
        self.seconds = 0.0

    def _variables(self, model):
        metrics = {id(v) for v in model.metrics_variables}  # running means, reset at every epoch
        return [v for v in model.variables if id(v) not in metrics] + list(model.optimizer.variables)

    def restore(self, model: Any) -> int:
        """Brings model and optimizer to the state in the file, if there is one; returns the epochs done."""
        if not self.path.exists():
            return 0
        variables = self._variables(model)
        with np.load(self.path, allow_pickle=False) as file:
            if json.loads(str(file["paths"])) != [v.path for v in variables]:
                raise CheckpointError(f"{self.path} is the state of another model; train in a new folder.")
            for index, variable in enumerate(variables):
                variable.assign(file[f"{index}"])
            self.seconds = float(file["seconds"])
            return int(file["epoch"])

    def on_train_begin(self, logs: Any = None) -> None:
        self._start = time.monotonic() - self.seconds

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds = time.monotonic() - self._start
        variables = self._variables(self.model)
        arrays = {f"{index}": keras.ops.convert_to_numpy(v.value) for index, v in enumerate(variables)}
        paths = json.dumps([v.path for v in variables])
        temporary = self.path.with_suffix(".tmp")
        with open(temporary, "wb") as file:
            np.savez(file, paths=paths, epoch=epoch + 1, seconds=self.seconds, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self.path)


class Log(keras.callbacks.Callback):
    """One line an epoch in a CSV file; a resumed run goes on after the last epoch that its backup holds."""

    def __init__(self, path: Path, first_epoch: int):
        super().__init__()
        self.path = path
        lines = self.path.read_text().splitlines(keepends=True) if first_epoch else []
        self.path.write_text("".join(lines[: 1 + first_epoch]))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        row = {"epoch": epoch + 1} | {name: f"{float(np.squeeze(value)):.6g}" for name, value in logs.items()}
        with open(self.path, "a", newline="") as file:
            writer = csv.DictWriter(file, row)
            if file.tell() == 0:
                writer.writeheader()
            writer.writerow(row)


class Pictures(keras.callbacks.Callback):
    """Writes what the model shows of itself after every epoch, always of the same seed and images.

    Args:
        folder: of the pictures.
        exhibit: gives the `Exhibit`.
        images: some of the training set, for models whose sampling must be prepared (`prepare_sampling`), or `None`.
    """

    def __init__(self, folder: Path, exhibit: Callable[[], Exhibit], images: np.ndarray | None = None):
        super().__init__()
        self.folder = folder
        self.exhibit = exhibit
        self.images = images

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.images is not None:
            self.model.prepare_sampling(self.images)
        exhibit = self.exhibit()
        path = self.folder / f"epoch-{epoch + 1:04d}.png"
        self.model.modality.write(exhibit.examples, path, exhibit.columns)


class StopAtNonFiniteLoss(keras.callbacks.Callback):
    """Ends training with an error when the loss is no longer finite, before the backup is replaced."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        for name, value in logs.items():
            if not name.endswith("loss") or math.isfinite(value := float(np.squeeze(value))):
                continue
            step = int(self.model.optimizer.iterations)
            raise KerasgenError(
                f"the {name.replace('_', ' ')} is {value} at step {step}, batch {batch + 1} of its epoch. The backup "
                "of the last whole epoch is kept; lower training.learning_rate, raise training.warmup_steps or set "
                "training.clip_norm."
            )
