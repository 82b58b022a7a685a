"""Samples of a class-conditional model as further training data (Antoniou et al. 2017; Ravuri and Vinyals 2019)."""

import numpy as np

from kerasgen import inputs, noise
from kerasgen.data.pipeline import load_arrays
from kerasgen.errors import DatasetError, InputError
from kerasgen.typing import Any, Array


def augment_with(
    model: Any,
    source: Any,
    fraction: float = 0.5,
    *,
    split: str = "train",
    labels: str | None = None,
    seed: int = 0,
    batch_size: int = 64,
    **drawing: Any,
) -> tuple[Array, Array]:
    """A labelled training set with samples of `model` mixed in, in random order: uint8 `[N, H, W, C]`, int32 `[N]`.

    The arrays are ready for `fit` of a classifier, or for `kerasgen.data.load`.

    Args:
        model: a class-conditional model of images.
        source, split, labels: as for `kerasgen.data.load`; images are brought to the model's shape.
        fraction: of the result that are samples, in [0, 1). Their labels are drawn from those of the source.
        seed: of the samples, their labels and the order.
        drawing: further arguments of `model.sample`, such as `temperature` or `guidance`.

    Raises:
        InputError: the model has no classes, or the fraction is out of range.
        DatasetError: the source has no labels, or labels that the model does not know.
    """
    if model.exclusive_classes is None:
        raise InputError("augment_with needs a class-conditional model: this one cannot be asked for a label.")
    fraction = inputs.check_number("fraction", fraction, 0.0)
    if fraction >= 1.0:
        raise InputError(f"fraction is {fraction:g}; expected less than 1, for some of the data must stay.")
    seed = noise.check_seed(seed)
    height, width, channels = model.shape
    x, y = load_arrays(source, split, (height, width), channels=channels, labels=labels)
    if y is None:
        raise DatasetError("the source has no labels; samples with labels would not go with it.")
    if y.ndim != 1 or y.max() >= model.num_classes:
        raise DatasetError(f"labels of the source are not classes 0 to {model.num_classes - 1}, which the model has.")
    num = round(len(x) * fraction / (1.0 - fraction))
    if num == 0:
        return x, y
    rng = np.random.default_rng(seed)
    drawn = rng.choice(y, num)
    samples = model.modality.to_storage(model.sample(num, labels=drawn, seed=seed, batch_size=batch_size, **drawing))
    order = rng.permutation(len(x) + num)
    return np.concatenate([x, samples])[order], np.concatenate([y, drawn])[order]
