"""Checks of what users hand to a model: one clear `InputError` each, before any work."""

import math
import numbers

import keras
import numpy as np

from kerasgen.errors import InputError


def check_image_shape(shape):
    """`(height, width, channels)` as a tuple of ints of at least 1."""
    try:
        shape = tuple(shape)
    except TypeError:
        shape = (shape,)
    if len(shape) != 3 or not all(isinstance(side, numbers.Integral) and side >= 1 for side in shape):
        raise InputError(f"image_shape is {shape}; expected (height, width, channels), each at least 1.")
    return tuple(int(side) for side in shape)


def check_event_shape(shape):
    """`(height, width, channels)` of images or `(features,)` of vectors, as a tuple of ints of at least 1."""
    if isinstance(shape, (tuple, list)) and len(shape) == 1:
        return (check_integer("the number of features", shape[0], 1),)
    return check_image_shape(shape)


def check_integer(name, value, minimum):
    """`value` as an int of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < minimum:
        raise InputError(f"{name} is {value!r}; expected an integer of at least {minimum}.")
    return int(value)


def check_number(name, value, minimum):
    """`value` as a finite float of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not minimum <= value < math.inf:
        raise InputError(f"{name} is {value!r}; expected a number of at least {minimum}.")
    return float(value)


def check_choice(name, value, choices):
    """`value`, one of `choices`."""
    if value not in list(choices):
        raise InputError(f"{name} is {value!r}; expected one of {list(choices)}.")
    return value


def _to_numpy(name, x):
    if not (hasattr(x, "__array__") or isinstance(x, (list, tuple))):
        raise InputError(f"{name} is a {type(x).__name__}; expected an array or a tensor.")
    return keras.ops.convert_to_numpy(x) if keras.ops.is_tensor(x) else np.asarray(x)


def check_spec(shape, dtype, event_shape):
    """Checks the static shape `[batch, ...]` (`None` where unknown) and the dtype name of images or vectors."""
    vectors = len(event_shape) == 1
    noun, axes = ("vectors", "features") if vectors else ("images", "height, width, channels")
    if len(shape) != 1 + len(event_shape):
        advice = "; add the batch axis with x[None]" if tuple(shape) == event_shape else ""
        raise InputError(f"{noun} have {len(shape)} axes, shape {tuple(shape)}; expected [batch, {axes}]{advice}.")
    if any(have is not None and have != want for have, want in zip(shape[1:], event_shape, strict=True)):
        advice = "" if vectors else " Resize or convert them first, for example with kerasgen.data.load."
        raise InputError(
            f"{noun} have shape {tuple(shape)}; this model takes [batch, {', '.join(map(str, event_shape))}] "
            f"({axes}).{advice}"
        )
    if "float" not in dtype and (vectors or dtype != "uint8"):
        raise InputError(
            f"{noun} have dtype {dtype}; expected {'float' if vectors else 'uint8 in 0..255 or float in [0, 1]'}."
        )


def check_images(x, event_shape):
    """Images as a NumPy array `[N, H, W, C]` of uint8 in 0..255 or float32 in [0, 1]; vectors as float32 `[N, D]`."""
    x = _to_numpy("images", x)
    check_spec(x.shape, str(x.dtype), event_shape)
    if len(x) == 0:
        raise InputError("there are no images: the first axis has length 0.")
    if len(event_shape) == 1:
        if not np.isfinite(x).all():
            raise InputError("vectors have values that are not finite.")
        return x.astype(np.float32, copy=False)
    if x.dtype == np.uint8:
        return x
    x = x.astype(np.float32, copy=False)
    low, high = float(x.min()), float(x.max())  # NaN if any is
    if math.isnan(low) or math.isnan(high):
        raise InputError("images have NaN values; expected float in [0, 1].")
    if low < 0.0 or high > 1.0:
        advice = "; convert with x.astype('uint8')" if low >= 0.0 and 1.0 < high <= 255.0 else ""
        raise InputError(f"images range over [{low:g}, {high:g}]; expected float in [0, 1] or uint8 in 0..255{advice}.")
    return x


def check_labels(labels, num, num_classes):
    """Labels as int32 `[N]`; `None` for a model without classes."""
    if num_classes is None:
        if labels is not None:
            raise InputError("labels were given, but this model is not class-conditional (num_classes is None).")
        return None
    if labels is None:
        raise InputError(f"this model needs labels: give {num} integers from 0 to {num_classes - 1}.")
    labels = np.full(num, labels) if isinstance(labels, numbers.Integral) else _to_numpy("labels", labels)
    if labels.dtype.kind not in "iu":
        raise InputError(f"labels have dtype {labels.dtype}; expected integers from 0 to {num_classes - 1}.")
    if labels.shape != (num,):
        raise InputError(f"labels have shape {labels.shape}; expected ({num},), one for each image.")
    if labels.min() < 0 or labels.max() >= num_classes:
        raise InputError(
            f"labels range over {labels.min()}..{labels.max()}; this model has {num_classes} classes, 0 to "
            f"{num_classes - 1}."
        )
    return labels.astype(np.int32)


def check_attributes(labels, num, num_attributes):
    """Attributes as int32 `[N, num_attributes]` of 0 and 1."""
    if labels is None:
        raise InputError(f"this model needs labels: give {num} rows of {num_attributes} attributes, each 0 or 1.")
    labels = _to_numpy("labels", labels)
    if labels.shape != (num, num_attributes):
        raise InputError(f"labels have shape {labels.shape}; expected ({num}, {num_attributes}), attributes of 0 or 1.")
    if labels.dtype.kind not in "biu" or labels.min() < 0 or labels.max() > 1:
        raise InputError(f"labels have dtype {labels.dtype}; expected attributes, each 0 or 1 or a bool.")
    return labels.astype(np.int32)


def check_latents(z, latent_dim):
    """Latents as float32 `[N, latent_dim]`."""
    z = _to_numpy("latents", z)
    if z.ndim != 2 or z.shape[1] != latent_dim or len(z) == 0:
        raise InputError(f"latents have shape {z.shape}; expected [N, {latent_dim}] with N of at least 1.")
    if z.dtype.kind not in "fiu" or not np.isfinite(z).all():
        raise InputError(f"latents of dtype {z.dtype} must be finite numbers.")
    return z.astype(np.float32)
