"""`AttributeModel`: what a model does with labels that are attributes, several of which hold at once."""

import numpy as np

from kerasgen import inputs
from kerasgen.base.exhibit import Exhibit, describe_sampling
from kerasgen.base.latent import LatentModel
from kerasgen.errors import InputError
from kerasgen.modalities import check_wishes, signs
from kerasgen.recipes import Evaluation
from kerasgen.typing import Any, Labels, Sequence, Shape, Tensor

SHOWN = 10  # samples in a row


class AttributeModel(LatentModel):
    """A `LatentModel` that may have `attributes`: its labels are then what `check_wishes` takes.

    Its networks read 1 for an attribute that an example has, -1 for one that it has not, and 0 for one that is open.
    `num_classes` is the number of attributes.
    """

    attributes: tuple[str, ...] | None = None

    def __init__(
        self, shape: Shape, num_classes: int | None, attributes: Sequence[str] | None, seed: int, **kwargs: Any
    ):
        if attributes is not None:
            attributes = inputs.check_names("attributes", attributes)
            if num_classes not in (None, len(attributes)):
                raise InputError(f"num_classes is {num_classes}, and there are {len(attributes)} attributes.")
            num_classes = len(attributes)
        super().__init__(shape, num_classes, seed, **kwargs)
        self.attributes = attributes

    def check_labels(self, labels: Labels, num: int) -> np.ndarray | None:
        if self.attributes is None:
            return super().check_labels(labels, num)
        return check_wishes(labels, num, self.attributes)

    def check_targets(self, x: np.ndarray, y: Any) -> np.ndarray | None:
        if self.attributes is not None and y is None:
            raise InputError(f"this model needs labels: {len(x)} rows of {len(self.attributes)} attributes, 1 or 0.")
        return super().check_targets(x, y)

    def one_hot(self, labels: Tensor | None) -> Tensor | None:
        """As of any model; of attributes their signs."""
        return super().one_hot(labels) if labels is None or self.attributes is None else signs(labels)

    def sample_labels(self, labels: Labels, num: int) -> np.ndarray | None:
        return super().sample_labels(labels, num) if self.attributes is None else self.check_labels(labels, num)

    def labels_to_compare(self, labels: np.ndarray | None, num: int) -> np.ndarray | None:
        """As of any model; attributes are those of real examples, evenly taken from all of them."""
        if self.attributes is None or labels is None:
            return super().labels_to_compare(labels, num)
        return self.check_labels(labels, len(labels))[np.arange(num) * len(labels) // num]

    def probe_labels(self) -> np.ndarray | None:
        return super().probe_labels() if self.attributes is None else self.check_labels([1] * len(self.attributes), 2)

    def written_labels(self, example: str) -> str:
        return super().written_labels(example) if self.attributes is None else f', labels={{"{self.attributes[0]}": 1}}'

    def measures(self) -> tuple[str, ...]:
        return (*super().measures(), *(() if self.attributes is None else ("attribute_accuracy",)))

    def exhibit(self, examples: np.ndarray | None, labels: np.ndarray | None, settings: Evaluation) -> list[Exhibit]:
        """As of any model; and for each attribute the same noise without it and, below, with it."""
        exhibits = super().exhibit(examples, labels, settings)
        if self.attributes is None or self.given_shape is not None or not exhibits:
            return exhibits

        def pairs():
            rows = []
            for name in self.attributes or ():
                for value in (0, 1):
                    drawing = {"seed": settings.seed, "verbose": 0, **settings.drawing}
                    rows.append(self.sample(SHOWN, labels={name: value}, **drawing))
            return np.concatenate(rows)

        how = f"seed {settings.seed}, {describe_sampling(settings.drawing)}"
        caption = f"without and with {', '.join(self.attributes)}, of the same noise, all else open; {how}"
        return [*exhibits, Exhibit(pairs, SHOWN, caption)]
