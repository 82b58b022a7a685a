"""One evaluation for every family: a model is asked what applies to it, and each figure says how it was measured."""

import functools
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kerasgen.errors import InputError
from kerasgen.metrics.extractors import Extractor, extract_cached, fingerprint
from kerasgen.metrics.figures import FIGURES, ON_DEMAND


class Evaluation:
    """A model, the real examples it is measured on, and the settings; samples and features are made once, when needed.

    Args:
        model: any model of kerasgen.
        images, labels: of the split, uint8 `[N, H, W, C]` (or vectors) and `[N]` or `None`.
        split: its name.
        dataset: the name of the data set, for the record.
        extractor: an `Extractor`, or `None`: then no figure has one.
        num_samples, seed: of the samples; a model with `given_shape` draws one for each example given.
        given: what a model with `given_shape` draws for; `images` unless given.
        num_importance_samples, num_evaluations: of likelihoods, where they depend on them.
        likelihood_images: how many, the first, have their likelihood measured; all unless given.
        drawing: further arguments of `sample`, such as `temperature`, `sampler` and `steps`.
        training: a function that gives the training images, uint8, to look for copies in; or `None`.
    """

    def __init__(
        self,
        model: Any,
        images: np.ndarray,
        labels: np.ndarray | None,
        split: str,
        *,
        dataset: str | None = None,
        extractor: Extractor | None = None,
        num_samples: int = 10_000,
        num_importance_samples: int = 128,
        num_evaluations: int | None = None,
        likelihood_images: int | None = None,
        drawing: dict[str, Any] | None = None,
        seed: int = 0,
        batch_size: int = 250,
        training: Callable[[], np.ndarray] | None = None,
        given: np.ndarray | None = None,
        verbose: Any = "auto",
    ):
        self.model, self.images, self.split, self.dataset = model, images, split, dataset
        self.labels = labels if model.num_classes is not None else None
        self.seed, self.drawing = seed, drawing or {}
        self.sampler = model.sampling_config(**self.drawing)
        self.given = images if given is None else given
        self.num_samples = num_samples if model.given_shape is None else len(self.given)
        self.num_importance_samples, self.num_evaluations = num_importance_samples, num_evaluations
        self.likelihood_images = likelihood_images
        self.batch_size, self.verbose = batch_size, verbose
        self.training = training
        self.extractor = extractor
        if extractor is not None:
            extractor.check_shape(model.shape)

    @property
    def how(self) -> dict[str, Any]:
        """What every figure depends on."""
        how = {"dataset": self.dataset, "split": self.split}
        if self.model.given_shape is not None:
            how["given"] = list(self.model.given_shape)
        return how

    @property
    def how_sampled(self) -> dict[str, Any]:
        """What figures of samples depend on besides."""
        real = len(self.images)
        return {"n_real": real, "n_fake": self.num_samples, **self.how, "sampler": self.sampler, "seed": self.seed}

    @property
    def how_extracted(self) -> dict[str, Any]:
        return self.how_sampled | {"extractor": self.extractor.name, "extractor_sha256": self.extractor.sha256}

    def synthesize(self, num: int) -> tuple[np.ndarray, np.ndarray | None]:
        """`num` samples, float32, and their labels."""
        batching = {"batch_size": self.batch_size, "verbose": self.verbose}
        return self.model.synthesize(num, self.given, self.labels, seed=self.seed, **batching, **self.drawing)

    @functools.cached_property
    def synthesized(self) -> tuple[np.ndarray, np.ndarray | None]:
        return self.synthesize(self.num_samples)

    @functools.cached_property
    def samples(self) -> np.ndarray:
        """As they would be in files."""
        return self.model.modality.to_storage(self.synthesized[0])

    @property
    def sample_labels(self) -> np.ndarray | None:
        return self.synthesized[1]

    @functools.cached_property
    def real(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Features and probabilities of the real images."""
        return extract_cached(self.extractor, self.images, fingerprint(self.images), self.batch_size, self.verbose)

    @functools.cached_property
    def fake(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Features and probabilities of the samples."""
        return self.extractor.extract(self.samples, self.batch_size, self.verbose)

    @functools.cached_property
    def reconstructions(self) -> tuple[np.ndarray, np.ndarray]:
        """Real images and their reconstructions, float32 in [0, 1]; or what was drawn for them."""
        target = self.model.modality.to_float(self.images)
        if self.model.given_shape is not None:
            return target, self.synthesized[0]
        return target, self.model.reconstruct(self.images, self.labels, self.batch_size, self.verbose)


def missing_requirement(run: Evaluation, name: str) -> str | None:
    """The first thing that a figure needs and the evaluation lacks, or `None`."""
    if name not in run.model.measures():
        return "another family"
    return next((what for has, what in FIGURES[name][1] if not has(run)), None)


def evaluate(run: Evaluation, metrics: Sequence[str] | None = None) -> dict[str, Any]:
    """The figures of an `Evaluation`: `{"metrics": {name: figure}, "seconds": all}`.

    Args:
        run: the `Evaluation`.
        metrics: names of `FIGURES`, or `None` for all but `ON_DEMAND` that the model and the settings allow.

    Each figure has `value`, `standard_error`, `confidence_interval` (95 %), `seconds`, and what it depends on.

    Raises:
        InputError: a name is unknown, or that figure needs something that is not there. Before anything is measured.
    """
    for name in metrics or ():
        if name not in FIGURES:
            raise InputError(f"there is no metric {name!r}; expected of {', '.join(FIGURES)}.")
        if what := missing_requirement(run, name):
            raise InputError(f"{name} needs {what}, which this {type(run.model).__name__} or evaluation does not have.")
    if metrics is None:
        metrics = [name for name in FIGURES if name not in ON_DEMAND and missing_requirement(run, name) is None]
    start = time.monotonic()
    figures = {}
    for name in metrics:
        if run.verbose:
            print(f"measuring {name}", file=sys.stderr)
        before = time.monotonic()
        found = FIGURES[name][0](run)
        seconds = round(time.monotonic() - before, 1)
        figures |= {key: value | {"seconds": seconds} for key, value in found.items()}
    return {"metrics": figures, "seconds": round(time.monotonic() - start, 1)}
