"""Callbacks of a training run: its backup and its sample grids."""

import csv
import json
import math
import os
import time
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np

from kerasgen import pictures
from kerasgen.errors import CheckpointError, KerasgenError
from kerasgen.gans.cyclegan import DIRECTIONS

TRANSLATED = 12  # images of each kind in a grid of translations
ENLARGED = 10  # images in a row of a grid of enlarged ones


class Backup(keras.callbacks.Callback):
    """Keeps the whole state of training in one file, replaced after every epoch.

    `keras.callbacks.BackupAndRestore` leaves out the seed generators, without which a resumed run draws other noise,
    and writes weights and epoch in two steps. Here a kill at any moment leaves the state of a whole epoch: every
    variable of the model and its optimizer, the epochs done and the seconds they took.
    """

    def __init__(self, path):
        super().__init__()
        self.path = Path(path)
        self.seconds = 0.0

    def _variables(self, model):
        metrics = {id(v) for v in model.metrics_variables}  # running means, reset at every epoch
        return [v for v in model.variables if id(v) not in metrics] + list(model.optimizer.variables)

    def restore(self, model):
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

    def on_train_begin(self, logs=None):
        self._start = time.monotonic() - self.seconds

    def on_epoch_end(self, epoch, logs=None):
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

    def __init__(self, path, first_epoch):
        super().__init__()
        self.path = Path(path)
        lines = self.path.read_text().splitlines(keepends=True) if first_epoch else []
        self.path.write_text("".join(lines[: 1 + first_epoch]))

    def on_epoch_end(self, epoch, logs=None):
        row = {"epoch": epoch + 1} | {name: f"{float(np.squeeze(value)):.6g}" for name, value in logs.items()}
        with open(self.path, "a", newline="") as file:
            writer = csv.DictWriter(file, row)
            if file.tell() == 0:
                writer.writeheader()
            writer.writerow(row)


class Grids(keras.callbacks.Callback):
    """Writes a grid after every epoch, always of the same seed and images.

    `save(model, path)` is one of the functions below, but for its other arguments; `images` are some of the training
    set, for models whose sampling must be prepared (`prepare_sampling`), else `None`.
    """

    def __init__(self, folder, save, images=None):
        super().__init__()
        self.folder = Path(folder)
        self.save = save
        self.images = images

    def on_epoch_end(self, epoch, logs=None):
        with averaged_weights(self.model):
            if self.images is not None:
                self.model.prepare_sampling(self.images)
            self.save(self.model, self.folder / f"epoch-{epoch + 1:04d}.png")


class StopAtNonFiniteLoss(keras.callbacks.Callback):
    """Ends training with an error when the loss is no longer finite, before the backup is replaced."""

    def on_train_batch_end(self, batch, logs=None):
        for name, value in logs.items():
            if not name.endswith("loss") or math.isfinite(value := float(np.squeeze(value))):
                continue
            step = int(self.model.optimizer.iterations)
            raise KerasgenError(
                f"the {name.replace('_', ' ')} is {value} at step {step}, batch {batch + 1} of its epoch. The backup "
                "of the last whole epoch is kept; lower training.learning_rate, raise training.warmup_steps or set "
                "training.clip_norm."
            )


@contextmanager
def averaged_weights(model):
    """The model with its averaged weights, if its optimizer, or one of them, averages them (`use_ema`)."""
    if not any(optimizer.use_ema for optimizer in getattr(model.optimizer, "optimizers", [model.optimizer])):
        yield
        return
    values = [keras.ops.convert_to_numpy(v.value) for v in model.trainable_variables]
    model.optimizer.finalize_variable_values(model.trainable_variables)
    yield
    for variable, value in zip(model.trainable_variables, values, strict=True):
        variable.assign(value)


def save_samples(model, path, settings):
    """Writes a grid of samples as `[evaluation]` says; one column a class for a class-conditional model."""
    columns = model.num_classes if model.num_classes and model.num_classes <= 20 else None
    samples = model.sample(settings.grid, seed=settings.seed, verbose=0, **settings.drawing)
    pictures.save_grid(samples, path, columns)


def enlargements(model, images, labels, settings):
    """`(images, columns)` of a grid: a row of small images, what `upscale` makes of them, and what they were made from.

    And so on with the next images, as many as `settings.grid` says; float32 in [0, 1].
    """
    num = min(settings.grid, len(images))
    columns = min(ENLARGED, num)
    real = images[: num // columns * columns]
    labels = None if model.num_classes is None else labels[: len(real)]
    small = model.downscale(real)
    large = model.upscale(small, labels, seed=settings.seed, verbose=0, **settings.drawing)
    factor = model.super_resolution
    small = small.repeat(factor, axis=1).repeat(factor, axis=2)
    parts = np.stack([small / np.float32(255.0), large, real / np.float32(255.0)])
    shape = model.image_shape
    return parts.reshape(3, -1, columns, *shape).swapaxes(0, 1).reshape(-1, *shape), columns


def save_enlargements(model, path, images, labels, settings):
    """Writes the grid of `enlargements`."""
    pictured, columns = enlargements(model, images, labels, settings)
    pictures.save_grid(pictured, path, columns)


def save_translations(model, path, kinds):
    """Writes a grid of four rows: images of one kind over their translations, images of the other over theirs."""
    rows = []
    for images, direction in zip(kinds, DIRECTIONS, strict=True):
        shown = images[:TRANSLATED]
        rows += [shown / np.float32(255.0), model.translate(shown, direction, verbose=0)]
    pictures.save_grid(np.concatenate(rows), path, len(shown))
