"""`GenerativeModel`: what every family that samples shares."""

import json

import numpy as np
from keras import ops

from kerasgen.base.exhibit import Exhibit, describe_sampling
from kerasgen.base.model import BaseModel
from kerasgen.modalities import Vectors
from kerasgen.networks.geometry import with_label_planes
from kerasgen.recipes import Evaluation
from kerasgen.typing import Any, ArrayLike, Callable, Config, Labels, Tensor

# What is measured of samples, for any family that has some.
SAMPLED = (
    *("frechet_distance", "kernel_distance", "precision_recall", "density_coverage", "inception_score"),
    *("class_accuracy", "ms_ssim", "memorisation", "motion", "content_kept"),
)
WIDTH = 118  # of a line of code
MOST_COLUMNS = 20  # classes that get a column each in a grid


class GenerativeModel(BaseModel):
    """A `BaseModel` that samples; with `num_classes` it is class-conditional."""

    drawn_by = "one pass"

    @property
    def vectors(self) -> bool:
        """Whether examples are vectors."""
        return isinstance(self.modality, Vectors)

    def with_label_planes(self, images: Tensor, one_hot: Tensor | None) -> Tensor:
        """What a network reads: images in [-1, 1], with one constant plane a class if there are classes.

        Of vectors these are further features.
        """
        images = self.modality.to_network(images)
        if one_hot is None:
            return images
        return ops.concatenate([images, one_hot], axis=-1) if self.vectors else with_label_planes(images, one_hot)

    def prepare_sampling(self, x: ArrayLike) -> None:
        """Does what remains to be done after `fit` before `sample` works, with training data; nothing for most."""

    def finish_training(self, examples: Callable[[], np.ndarray], held_out: Callable[[], np.ndarray]) -> None:
        self.prepare_sampling(examples())

    def sample_labels(self, labels: Labels, num: int) -> np.ndarray | None:
        """Labels for `sample`: as given, or the classes in turn."""
        if labels is None and self.num_classes is not None:
            return np.arange(num, dtype=np.int32) % self.num_classes
        return self.check_labels(labels, num)

    def labels_to_compare(self, labels: np.ndarray | None, num: int) -> np.ndarray | None:
        """Labels of `num` samples in the shares that `labels` of real examples have, spread evenly, int32 `[num]`.

        The classes in turn, if their shares are equal or the examples have no labels.
        """
        if labels is None or self.num_classes is None:
            return self.sample_labels(None, num)
        counts = np.bincount(self.check_labels(labels, len(labels)), minlength=self.num_classes)
        numbers, left = np.divmod(num * counts, len(labels))
        numbers[np.argsort(-left, kind="stable")[: num - numbers.sum()]] += 1  # the largest remainders
        places = np.concatenate([(np.arange(n) + 0.5) / n for n in numbers if n])
        return np.repeat(np.arange(self.num_classes, dtype=np.int32), numbers)[np.argsort(places, kind="stable")]

    def synthesize(
        self, num: int, given: np.ndarray, labels: np.ndarray | None, **settings: Any
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Samples to compare with real examples, and their labels: `num` of them, or with `given_shape` one for each.

        Args:
            given, labels: real examples, for models that draw others for them, and their labels: samples of a
                conditional model have the same shares of classes.
            settings: of `sample`.
        """
        labels = self.labels_to_compare(labels, num)
        return self.sample(num, labels=labels, **settings), labels

    def measures(self) -> tuple[str, ...]:
        labelled = self.exclusive_classes is not None and self.given_shape is None
        synthetic = ("train_on_synthetic",) if labelled else ()
        return (*SAMPLED, *synthetic)

    def exhibit(self, examples: np.ndarray | None, labels: np.ndarray | None, settings: Evaluation) -> list[Exhibit]:
        """A grid of samples, one column a class where there are few."""
        if not self.modality.drawable:
            return []
        classes = self.exclusive_classes
        columns = classes if classes and classes <= MOST_COLUMNS else None
        how = f"seed {settings.seed}, {describe_sampling(settings.drawing)}, not picked."
        return [
            Exhibit(
                lambda: self.sample(settings.grid, seed=settings.seed, verbose=0, **settings.drawing),
                columns,
                f"{settings.grid} samples, {how}",
            )
        ]

    def snippet(self, handle: str, drawing: Config | None = None) -> str:
        arguments = self.written_labels("0") + written(drawing)
        noun, shape = self.modality.noun, ", ".join(map(str, self.shape))
        line, told = f"{noun} = model.sample(16{arguments})", f"# float32 [16, {shape}]{self.modality.range_note}"
        drawn = f"{line}  {told}" if len(line) + len(told) < WIDTH else f"{told}\n{line}"
        if self.modality.using_results:
            drawn = f"{drawn}\n{self.modality.using_results}"
        return f"""import kerasgen

model = kerasgen.load("{handle}")
{drawn}
model.compile()  # then fine-tune: model.fit({noun}{", labels" if self.num_classes else ""})"""

    def written_labels(self, example: str) -> str:
        """Labels as a further argument of a call, as one writes them; nothing for a model without."""
        return f", labels={example}" if self.num_classes else ""

    def probe(self) -> np.ndarray:
        return self.sample(2, labels=self.probe_labels(), seed=0, verbose=0)


def written(settings: Config | None) -> str:
    """Settings as further arguments of a call, as one writes them; a temperature of 1 is the default."""
    settings = {name: value for name, value in (settings or {}).items() if (name, value) != ("temperature", 1.0)}
    return "".join(
        f", {name}={json.dumps(value) if isinstance(value, str) else repr(value)}" for name, value in settings.items()
    )
