"""A classifier as the network whose features and classes figures are measured in."""

import dataclasses

import keras

from kerasgen import data
from kerasgen.classifiers.classifier import Classifier
from kerasgen.errors import InputError
from kerasgen.recipes import Training
from kerasgen.typing import Any, Array, Callable, Verbose


@dataclasses.dataclass
class ClassifierExtractor:
    """An extractor for `kerasgen.metrics`."""

    classifier: Classifier
    name: str  # in figures
    sha256: str  # of the classifier's weights, for the record
    training: Training | None = None  # how its recipe trains it; `retrained` needs it
    make_optimizer: Callable[[Training, int], Any] | None = None  # from that and the number of steps to an optimizer

    def __post_init__(self):
        if not isinstance(self.classifier, Classifier):
            raise InputError(f"extractor {self.name!r} is a {type(self.classifier).__name__}; expected a Classifier.")

    @property
    def num_classes(self) -> int | None:
        """K; `None` for attributes."""
        return self.classifier.exclusive_classes

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Raises `InputError` if it does not take images of this shape."""
        if self.classifier.shape != shape:
            takes = f"extractor {self.name} takes images of shape {self.classifier.shape}"
            raise InputError(f"{takes}, not {shape}; choose one of the same data, or inception-2015.")

    def extract(self, images: Array, batch_size: int = 250, verbose: Verbose = "auto") -> tuple[Array, Array | None]:
        features, probabilities = self.classifier.extract(images, batch_size, verbose)
        return features, probabilities

    def retrained(
        self, images: Array, labels: Array, most_epochs: int, seed: int, verbose: Verbose
    ) -> tuple[Classifier, int]:
        """A new classifier of the same kind, trained by the same recipe on these images, and the epochs it took.

        Raises `InputError`: there is no recipe.
        """
        if self.training is None:
            raise InputError(f"extractor {self.name} has no recipe.toml to train another one by.")
        training = dataclasses.replace(self.training, epochs=min(self.training.epochs, most_epochs))
        dataset = data.load((images, labels), batch_size=training.batch_size, shuffle=True, seed=seed)
        keras.utils.set_random_seed(seed % 2**32)  # of the initial weights
        student = Classifier.from_config(self.classifier.get_config())
        student.compile(self.make_optimizer(training, len(dataset) * training.epochs))
        student.fit(dataset, epochs=training.epochs, verbose=2 if verbose else 0)
        return student, training.epochs
