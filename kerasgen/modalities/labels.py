"""Checks of what comes with examples: labels, attributes and latents."""

import numbers

import numpy as np
from keras import ops

from kerasgen.errors import InputError
from kerasgen.modalities.modality import to_numpy
from kerasgen.typing import Any, Array, ArrayLike, Labels, Sequence, Tensor


def check_labels(labels: Labels, num: int, num_classes: int | None) -> Array | None:
    """Labels as int32 `[N]`; `None` for a model without classes."""
    if num_classes is None:
        if labels is not None:
            raise InputError("labels were given, but this model is not class-conditional (num_classes is None).")
        return None
    if labels is None:
        raise InputError(f"this model needs labels: give {num} integers from 0 to {num_classes - 1}.")
    labels = np.full(num, labels) if isinstance(labels, numbers.Integral) else to_numpy("labels", labels)
    if labels.shape == (num, num_classes) and num_classes > 1:
        raise InputError(
            f"labels have shape {labels.shape}, which is one-hot; give integers from 0 to {num_classes - 1}, by "
            "labels.argmax(axis=1)."
        )
    if labels.dtype.kind not in "iu":
        raise InputError(f"labels have dtype {labels.dtype}; expected integers from 0 to {num_classes - 1}.")
    labels = labels[:, 0] if labels.shape == (num, 1) else labels
    if labels.shape != (num,):
        raise InputError(f"labels have shape {labels.shape}; expected ({num},), one for each example.")
    low, high, last = labels.min(), labels.max(), num_classes - 1
    if low < 0 or high > last:
        raise InputError(f"labels range over {low}..{high}; this model has {num_classes} classes, 0 to {last}.")
    return labels.astype(np.int32)


def check_attributes(labels: Labels, num: int, num_attributes: int) -> Array:
    """Attributes as int32 `[N, num_attributes]` of 0 and 1."""
    if labels is None:
        raise InputError(f"this model needs labels: give {num} rows of {num_attributes} attributes, each 0 or 1.")
    labels = to_numpy("labels", labels)
    if labels.shape != (num, num_attributes):
        raise InputError(f"labels have shape {labels.shape}; expected ({num}, {num_attributes}), attributes of 0 or 1.")
    if labels.dtype.kind not in "biu" or labels.min() < 0 or labels.max() > 1:
        raise InputError(f"labels have dtype {labels.dtype}; expected attributes, each 0 or 1 or a bool.")
    return labels.astype(np.int32)


def check_wishes(labels: Any, num: int, attributes: Sequence[str]) -> Array:
    """What is asked of attributes, int32 `[num, A]`: 1 for examples that have it, 0 for those that do not, -1 for any.

    Args:
        labels: such rows; one for all; a dictionary such as `{"Smiling": 1}`, whose values are for all or `[num]`, and
            which leaves the others open; or `None`, which leaves all open.
    """
    wishes = np.full((num, len(attributes)), -1, np.int32)
    named = labels if isinstance(labels, dict) else {} if labels is None else {None: labels}
    for name, value in named.items():
        if name not in (None, *attributes):
            raise InputError(f"there is no attribute {name!r}; expected of {', '.join(attributes)}.")
        value = np.asarray(value) if isinstance(value, numbers.Integral) else to_numpy("labels", value)
        place = slice(None) if name is None else list(attributes).index(name)
        shapes = [wishes.shape, wishes.shape[1:]] if name is None else [(num,), ()]
        if value.shape not in shapes:
            expected = " or ".join(map(str, shapes))
            raise InputError(f"labels have shape {value.shape}; expected {expected}: a value for each attribute.")
        if value.dtype.kind not in "biu" or value.min() < -1 or value.max() > 1:
            raise InputError(
                f"labels are {value.dtype} with values such as {value.flat[0]}; expected 1, 0, or -1 for any."
            )
        wishes[:, place] = value
    return wishes


def signs(wishes: Tensor) -> Tensor:
    """float32 `[B, A]` of what `check_wishes` gives: 1 with the attribute, -1 without, 0 for any."""
    wishes = ops.cast(wishes, "float32")
    return ops.where(wishes < 0.0, 0.0, 2.0 * wishes - 1.0)


def check_weights(weights: ArrayLike | None, num: int) -> Array | None:
    """Weights of examples as float32 `[N]`, each at least 0."""
    if weights is None:
        return None
    weights = to_numpy("weights", weights)
    weights = weights[:, 0] if weights.shape == (num, 1) else weights
    if weights.shape != (num,) or weights.dtype.kind not in "biuf":
        raise InputError(f"weights have shape {weights.shape} and dtype {weights.dtype}; expected ({num},) numbers.")
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise InputError(f"weights range over {weights.min()}..{weights.max()}; expected finite ones of at least 0.")
    return weights.astype(np.float32)


def check_latents(z: ArrayLike, latent_dim: int) -> Array:
    """Latents as float32 `[N, latent_dim]`."""
    z = to_numpy("latents", z)
    if z.ndim != 2 or z.shape[1] != latent_dim or len(z) == 0:
        raise InputError(f"latents have shape {z.shape}; expected [N, {latent_dim}] with N of at least 1.")
    if z.dtype.kind not in "fiu" or not np.isfinite(z).all():
        raise InputError(f"latents of dtype {z.dtype} must be finite numbers.")
    return z.astype(np.float32)


def one_hot(labels: Tensor, num_classes: int) -> Tensor:
    """float32 `[B, num_classes]` of labels `[B]` or `[B, 1]`."""
    return ops.one_hot(ops.reshape(ops.cast(labels, "int32"), (-1,)), num_classes, dtype="float32")
