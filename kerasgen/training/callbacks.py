"""Callbacks of a training run: its log, its sample grids, how good they are, its end at a loss that is not finite."""

import csv
import math
from pathlib import Path

import keras
import numpy as np

from kerasgen import inputs
from kerasgen.base import Exhibit
from kerasgen.errors import KerasgenError
from kerasgen.metrics import kernel_distance
from kerasgen.training.extractors import load_extractor
from kerasgen.typing import Any, ArrayLike, Callable, Labels


class Log(keras.callbacks.Callback):
    """One line an epoch in a CSV file; a resumed run goes on after the whole epochs that its backup holds."""

    def __init__(self, path: Path, first_epoch: int):
        super().__init__()
        self.path = path
        lines = self.path.read_text().splitlines(keepends=True) if first_epoch else []
        self.path.write_text("".join(lines[: 1 + first_epoch]))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        row = {"epoch": epoch + 1} | {name: f"{float(np.squeeze(value)):.6g}" for name, value in logs.items()}
        with open(self.path, "a", newline="") as file:
            writer = csv.DictWriter(file, row, lineterminator="\n")
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
        modality = self.model.modality
        path = self.folder / f"epoch-{epoch + 1:04d}{modality.suffixes[0]}"
        modality.write(exhibit.examples, path, exhibit.columns)


class SampleQuality(keras.callbacks.Callback):
    """Logs `val_kernel_distance` every so many epochs: that of samples' features to those of images (KID).

    It comes before callbacks that read it, such as `ModelCheckpoint(monitor="val_kernel_distance", mode="min")`. After
    the epochs between it is infinite, than which any is better.

    Args:
        images: held out from training.
        extractor: "inception-2015", or whatever `kerasgen.load` takes that is a classifier, or a
            `kerasgen.metrics.Extractor`.
        labels: of the images, for models with classes: samples have the same.
        every: epochs.
        num_samples: at most, and images.
        settings: further arguments of `sample`, such as `seed` (0) and `steps`.

    Raises `InputError`: a number is out of range; on training: the model draws no samples, or the extractor does not
    take them.
    """

    def __init__(
        self,
        images: ArrayLike,
        extractor: Any,
        labels: Labels = None,
        every: int = 1,
        num_samples: int = 1000,
        **settings: Any,
    ):
        super().__init__()
        self.every = inputs.check_integer("every", every, 1)
        self.images = np.asarray(images)[: inputs.check_integer("num_samples", num_samples, 3)]
        self.labels = None if labels is None else np.asarray(labels)[: len(self.images)]
        self.extractor = load_extractor(extractor) if isinstance(extractor, str) else extractor
        self.settings = {"seed": 0, "verbose": 0} | settings
        self._real: Any = None  # features of the images

    def on_train_begin(self, logs: Any = None) -> None:
        self.model.verb("sample")
        if self._real is None:
            self.extractor.check_shape(self.model.shape)
            images = self.model.modality.check(self.images)
            self._real = self.extractor.extract(images, verbose=0)[0]

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        value = math.inf
        if (epoch + 1) % self.every == 0:
            samples = self.model.sample(len(self.images), labels=self.labels, **self.settings)
            value = kernel_distance(self._real, self.extractor.extract(samples, verbose=0)[0])[0]
        logs["val_kernel_distance"] = value


class StopAtNonFiniteLoss(keras.callbacks.Callback):
    """Ends training with an error when the loss is no longer finite, before the backup is replaced."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        for name, value in logs.items():
            if not name.endswith("loss") or math.isfinite(value := float(np.squeeze(value))):
                continue
            step = int(self.model.optimizer.iterations)
            raise KerasgenError(
                f"the {name.replace('_', ' ')} is {value} at step {step}. The newest backup is kept; lower "
                "training.learning_rate, raise training.warmup_steps or set training.clip_norm."
            )
