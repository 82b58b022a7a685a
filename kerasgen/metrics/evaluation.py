"""One evaluation for every family: a model is asked what applies to it, and each figure says how it was measured."""

import functools
import sys
import time
from dataclasses import KW_ONLY, dataclass, field

import numpy as np

from kerasgen import recipes
from kerasgen.errors import InputError
from kerasgen.metrics.extractors import Extractor, extract_cached
from kerasgen.metrics.figures import FIGURES, ON_DEMAND
from kerasgen.typing import Any, Array, Callable, Sequence, Verbose


@dataclass(eq=False)
class Evaluation:
    """A model, real examples to measure it on, and settings; samples and features are made once, when needed.

    Raises `InputError`: examples or labels that are not such as the model takes.
    """

    model: Any
    images: Array  # of the split: uint8 `[N, H, W, C]`, as which floats in [0, 1] are taken, or vectors
    labels: Array | None  # `[N]`
    split: str  # its name
    _: KW_ONLY
    settings: recipes.Evaluation = field(default_factory=recipes.Evaluation)  # all but its `split` and `extractor`
    dataset: str | None = None  # the name of the data set, for the record
    extractor: Extractor | None = None  # without it there are no figures of features
    training: Callable[[], Array] | None = None  # gives the training images, to look for copies in
    whole: Callable[[], Sequence[Array]] | None = None  # gives real images, each of its own sides
    anomalous: Array | None = None  # which examples are not normal, bool `[N]`
    columns: Sequence[int] | None = None  # of the extractor's attributes, those of the model
    given: Array | None = None  # what a model with `given_shape` draws for, one sample each; `images` by default
    verbose: Verbose = "auto"

    def __post_init__(self):
        modality = self.model.modality
        self.images = modality.to_storage(modality.check(self.images))
        self.labels = self.labels if self.model.num_classes is not None else None
        if self.labels is not None:
            self.labels = self.model.check_labels(self.labels, len(self.images))
        self.sampler = self.model.sampling_config(**self.settings.drawing)
        self.given = self.images if self.given is None else self.given
        self.num_samples = self.settings.num_samples if self.model.given_shape is None else len(self.given)
        self.batching = {"batch_size": self.settings.batch_size, "verbose": self.verbose}
        if self.extractor is not None:
            self.extractor.check_shape(self.model.shape[-3:])  # of videos, of their frames

    @property
    def how(self) -> dict[str, Any]:
        """What every figure depends on."""
        given = {} if self.model.given_shape is None else {"given": list(self.model.given_shape)}
        counted = self.model.modality.counted
        of = {} if counted == "images" else {"of": counted}
        return {"dataset": self.dataset, "split": self.split, **given, **of}

    @property
    def how_sampled(self) -> dict[str, Any]:
        """What figures of samples depend on."""
        real, seed = len(self.images), self.settings.seed
        how = {"n_real": real, "n_fake": self.num_samples, **self.how, "sampler": self.sampler, "seed": seed}
        if self.model.num_classes is None:
            return how
        return how | {"labels": "in turn" if self.labels is None else "in the shares of the split"}

    @property
    def how_extracted(self) -> dict[str, Any]:
        """What figures of features depend on."""
        return self.how_sampled | {"extractor": self.extractor.name, "extractor_sha256": self.extractor.sha256}

    def synthesize(self, num: int) -> tuple[Array, Array | None]:
        """`num` samples, float32, and their labels. Raises `InputError`: the model draws what is not finite."""
        settings = {"seed": self.settings.seed, **self.batching, **self.settings.drawing}
        samples, labels = self.model.synthesize(num, self.given, self.labels, **settings)
        if bad := int((~np.isfinite(samples).reshape(len(samples), -1).all(axis=1)).sum()):
            raise InputError(f"{bad} of {len(samples)} samples have values that are not finite: nothing to measure.")
        return samples, labels

    @functools.cached_property
    def synthesized(self) -> tuple[Array, Array | None]:
        """The samples and their labels."""
        return self.synthesize(self.num_samples)

    @functools.cached_property
    def samples(self) -> Array:
        """The samples as a file stores them."""
        return self.model.modality.to_storage(self.synthesized[0])

    @functools.cached_property
    def real(self) -> tuple[Array, Array | None]:
        """Features and probabilities of the real images, or of all frames of videos, one after the other."""
        return extract_cached(self.extractor, self._frames(self.images), **self.batching)

    @functools.cached_property
    def fake(self) -> tuple[Array, Array | None]:
        """Features and probabilities of the samples, as `real`."""
        return self.extractor.extract(self._frames(self.samples), **self.batching)

    def _frames(self, examples):
        return examples.reshape(-1, *self.model.shape[-3:])

    @functools.cached_property
    def reconstructions(self) -> tuple[Array, Array]:
        """Real images, and their reconstructions or what was drawn for them: float32 in [0, 1]."""
        target = self.model.modality.to_float(self.images)
        if self.model.given_shape is not None:
            return target, np.clip(self.synthesized[0], 0.0, 1.0)
        return target, self.model.reconstruct(self.images, self.labels, **self.batching)

    def first(self, num: int | None) -> tuple[Array, Array | None]:
        """The first `num` real images, or all of them for `None`, and their labels."""
        return self.images[:num], None if self.labels is None else self.labels[:num]


def missing_requirement(run: Evaluation, name: str) -> str | None:
    """The first thing that a figure needs and the evaluation does not have; `None` if it has all."""
    if name not in run.model.measures():
        return "another family"
    return next((what for has, what in FIGURES[name][1] if not has(run)), None)


def evaluate(run: Evaluation, metrics: Sequence[str] | None = None) -> dict[str, Any]:
    """The figures of an `Evaluation`: `{"metrics": {name: figure}, "seconds": all}`.

    Each figure has `value`, `standard_error`, `confidence_interval` (95 %), `seconds`, and what it depends on.

    Args:
        metrics: names of `FIGURES`; by default all that the model and the settings allow, without `ON_DEMAND`.

    Raises:
        InputError: a name is unknown, or its figure needs something that is not there. Nothing has been measured then.
    """
    for name in metrics or ():
        if name not in FIGURES:
            raise InputError(f"there is no metric {name!r}; expected of {', '.join(FIGURES)}.")
        if what := missing_requirement(run, name):
            raise InputError(f"{name} needs {what}, which this {type(run.model).__name__} or evaluation does not have.")
    if metrics is None:
        metrics = [name for name in FIGURES if name not in ON_DEMAND and missing_requirement(run, name) is None]
    start = time.monotonic()
    figures: dict[str, Any] = {}
    for name in metrics:
        if run.verbose:
            print(f"measuring {name}", file=sys.stderr)
        before = time.monotonic()
        found = FIGURES[name][0](run)
        seconds = round(time.monotonic() - before, 1)
        figures |= {key: value | {"seconds": seconds} for key, value in found.items()}
    return {"metrics": figures, "seconds": round(time.monotonic() - start, 1)}
