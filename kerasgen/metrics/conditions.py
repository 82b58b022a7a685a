"""Whether what a model was asked for is there: attributes of samples, and what a translation changes and keeps."""

import numpy as np

from kerasgen.metrics.figure import Figures, extracted
from kerasgen.typing import Any, Array

FOUND = 0.5  # the probability from which on an attribute counts as there


def attribute_accuracy(run: Any) -> Figures:
    """How often the extractor finds in samples what was asked for, a mean over attributes; `real` is that of images.

    `by_attribute` has the shares recognised of samples that were to have it, and of those that were not.
    """
    asked, found = run.synthesized[1], run.fake[1][:, run.columns] > FOUND  # [N, A]
    right = (found == asked) & (asked >= 0)
    shares = {}
    for place, name in enumerate(run.model.attributes):
        parts = (right[asked[:, place] == value, place] for value in (1, 0))
        shares[name] = [round(float(part.mean()), 4) if len(part) else None for part in parts]
    real = ((run.real[1][:, run.columns] > FOUND) == run.labels).mean()
    return extracted(run, "attribute_accuracy", right.mean(axis=1), real=float(real), by_attribute=shares)


def translation(run: Any) -> Figures:
    """The share of translations into the second kind in which the extractor finds what parts the kinds.

    `before` is the share of the images that were translated, and `back` that of translations the other way, of images
    of which `real` is the share.
    """

    def found(images: Array) -> Array:
        return run.extractor.extract(images, **run.batching)[1][:, run.columns[0]] > FOUND

    back = run.model.modality.to_storage(run.model.verb("translate")(run.images, "b_to_a", **run.batching))
    shares = {"before": found(run.given), "back": found(back), "real": found(run.images)}
    shares = {name: float(values.mean()) for name, values in shares.items()}
    return extracted(run, "translation", found(run.samples), **shares)


def identity(run: Any) -> Figures:
    """How far translations are from the images that they are of, over how far these are from one another, in features.

    A mean of |f(G(a)) - f(a)| / mean |f(a') - f(a)|, a' another image.
    """
    features = run.extractor.extract(run.given, **run.batching)[0].astype(np.float64)
    moved = np.linalg.norm(run.fake[0] - features, axis=1)
    apart = np.linalg.norm(np.roll(features, 1, axis=0) - features, axis=1).mean()
    return extracted(run, "identity", moved / apart)
