"""Checks of arguments that are numbers or names: one clear `InputError` each, before any work."""

import functools
import inspect
import math
import numbers
from collections.abc import Iterable

from kerasgen.errors import InputError
from kerasgen.typing import Any, Callable

# What other libraries call settings of `sample` and its like, and what they are called here.
FOREIGN = {
    **dict.fromkeys(("num_inference_steps", "num_steps"), "steps"),
    **dict.fromkeys(("guidance_scale", "cfg_scale"), "guidance"),
    **dict.fromkeys(("n_samples", "num_images"), "num_samples"),
    **dict.fromkeys(("class_labels", "y"), "labels"),
    **{"generator": "seed", "scheduler": "sampler"},
}


def check_integer(name: str, value: Any, minimum: int, maximum: int | None = None) -> int:
    """`value` as an int of at least `minimum`, and at most `maximum`."""
    limit = "" if maximum is None else f" and at most {maximum}"
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or value < minimum or (maximum is not None and value > maximum):
        raise InputError(f"{name} is {value!r}; expected an integer of at least {minimum}{limit}.")
    return int(value)


def check_number(name: str, value: Any, minimum: float) -> float:
    """`value` as a finite float of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not minimum <= float(value) < math.inf:
        raise InputError(f"{name} is {value!r}; expected a number of at least {minimum}.")
    return float(value)


def check_choice(name: str, value: Any, choices: Iterable) -> Any:
    """`value`, one of `choices`."""
    if value not in list(choices):
        raise InputError(f"{name} is {value!r}; expected one of {list(choices)}.")
    return value


def check_names(name: str, value: Any) -> tuple[str, ...]:
    """`value` as a tuple of different strings, of which there are some."""
    names = tuple(value) if isinstance(value, (list, tuple)) else ()
    if not names or not all(isinstance(each, str) and each for each in names) or len(set(names)) < len(names):
        raise InputError(f"{name} is {value!r}; expected a list of different names.")
    return names


def names_settings(method: Callable) -> Callable:
    """The method, with an `InputError` for a setting that it does not have, which says what it is called here."""
    known = inspect.signature(method).parameters

    @functools.wraps(method)
    def checked(self, *args, **kwargs):
        for name in kwargs:
            if name not in known:
                ours = FOREIGN.get(name)
                advice = f"it is called {ours} here" if ours in known else f"expected of {', '.join(list(known)[1:])}"
                raise InputError(f"{type(self).__name__}.{method.__name__} has no setting {name!r}; {advice}.")
        return method(self, *args, **kwargs)

    return checked
