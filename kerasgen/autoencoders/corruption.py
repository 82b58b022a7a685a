"""What a denoising autoencoder reads in place of images (Vincent et al. 2010, section 3.5).

A kind of corruption is a function of images x `[B, H, W, C]` in [0, 1], videos or vectors, an amount `[B, 1, ...]`, and
`normal(shape)` and `uniform(shape)`, which draw numbers.
"""

import itertools

import numpy as np
from keras import ops

from kerasgen import noise
from kerasgen.errors import InputError
from kerasgen.inputs import check_number
from kerasgen.typing import Any, Array, Callable, Tensor


def gaussian(x: Tensor, stddev: Tensor, normal: Callable, uniform: Callable) -> Tensor:
    """x + stddev n, n ~ N(0, I)."""
    return x + stddev * normal(ops.shape(x))


def masking(x: Tensor, rate: Tensor, normal: Callable, uniform: Callable) -> Tensor:
    """Pixels, all channels of each, or values of vectors are 0 with probability `rate`."""
    shape = ops.shape(x)
    kept = uniform((*shape[:-1], 1) if len(shape) > 2 else shape) >= rate
    return x * ops.cast(kept, x.dtype)


def salt_and_pepper(x: Tensor, rate: Tensor, normal: Callable, uniform: Callable) -> Tensor:
    """Pixels are 0 or 1 with probability `rate`, one as often as the other."""
    u = uniform((*ops.shape(x)[:-1], 1))
    return ops.where(u < rate, ops.cast(u < 0.5 * rate, x.dtype), x)


CORRUPTIONS = {  # the function, and what its amount is called
    "gaussian": (gaussian, "stddev"),
    "masking": (masking, "rate"),
    "salt_and_pepper": (salt_and_pepper, "rate"),
}


def corrupt(spec: dict[str, Any], x: Tensor, normal: Callable, uniform: Callable) -> Tensor:
    """x corrupted as a checked `spec` says; of a range of amounts, by one for each image, drawn uniformly."""
    function, amount = CORRUPTIONS[spec["class"]]
    low, high = amounts(spec[amount])
    drawn = low + (high - low) * uniform((ops.shape(x)[0], *[1] * (len(x.shape) - 1)))
    return function(x, drawn, normal, uniform)


def amounts(value: Any) -> tuple[float, float]:
    """Least and greatest of a number or a pair."""
    low, high = value if isinstance(value, (list, tuple)) else (value, value)
    return float(low), float(high)


def halfway(spec: dict[str, Any]) -> dict[str, Any]:
    """A checked `spec`, class first, with the mean of its range as its one amount."""
    amount = CORRUPTIONS[spec["class"]][1]
    return {"class": spec["class"], amount: sum(amounts(spec[amount])) / 2.0}


def corrupted(spec: dict[str, Any], x: Array, seed: int) -> Array:
    """NumPy x corrupted, by numbers that the seed fixes."""
    streams = itertools.count()

    def drawing(draw):
        def drawn(shape):
            numbers = draw(0, shape[0], tuple(shape[1:]), seed, next(streams))
            return ops.convert_to_tensor(numbers.astype(np.float32))

        return drawn

    return ops.convert_to_numpy(corrupt(spec, ops.convert_to_tensor(x), drawing(noise.normal), drawing(noise.uniform)))


def check_corruption(spec: Any, vectors: bool = False) -> dict[str, Any] | None:
    """`spec`, if it is `None` or such as `{"class": "gaussian", "stddev": 0.1}`. Raises `InputError`."""
    if spec is None:
        return None
    example = '{"class": "gaussian", "stddev": 0.1}, its amount one number or [least, greatest]'
    name = spec.get("class") if isinstance(spec, dict) else None
    if name not in CORRUPTIONS or set(spec) != {"class", CORRUPTIONS[name][1]}:
        kinds = ", ".join(f"{kind} ({amount})" for kind, (_, amount) in CORRUPTIONS.items())
        raise InputError(f"corruption is {spec!r}; expected None or, for example, {example}; of {kinds}.")
    if vectors and name == "salt_and_pepper":
        raise InputError("corruption is salt_and_pepper, which is of pixels; of vectors take gaussian or masking.")
    amount = CORRUPTIONS[name][1]
    value = spec[amount]
    if isinstance(value, (list, tuple)) and len(value) != 2:
        raise InputError(f"corruption's {amount} is {value!r}; expected a number, or [least, greatest].")
    both = value if isinstance(value, (list, tuple)) else [value]
    for each in both:
        check_number(f"corruption's {amount}", each, 0.0)
    if both[0] > both[-1] or (amount == "rate" and both[-1] > 1.0):
        limit = " of at most 1" if amount == "rate" else ""
        raise InputError(f"corruption's {amount} is {value!r}; expected a number{limit}, or [least, greatest].")
    return dict(spec)
