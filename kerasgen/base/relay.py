"""The one function that compiled programs call back, whichever function their caller has given this time."""

import contextlib
import itertools
from collections.abc import Iterator

import numpy as np

from kerasgen import backend
from kerasgen.typing import Any, Callable

_counter = itertools.count(1)
_listeners: dict[int, "Listener"] = {}  # by their numbers, for as long as somebody waits for them


class Listener:
    """A callback and its number, an input of the program; both are `None` where there is no callback."""

    def __init__(self, callback: Callable | None):
        self.callback = callback
        self.number = None if callback is None else np.int32(next(_counter))
        self.error: BaseException | None = None

    def check(self) -> None:
        """Raises what the callback has raised: a program cannot carry it."""
        if self.error is not None:
            raise self.error


def relay(number: int, *values: int) -> None:
    """Calls the callback of this number, unless it has raised before."""
    listener = _listeners[number]
    if listener.error is None:
        try:
            listener.callback(*values)
        except BaseException as error:
            listener.error = error


@contextlib.contextmanager
def listening(callback: Callable | None) -> Iterator[Any]:
    """The `Listener` of a callback or of `None`. What the callback raises is raised at the end."""
    listener = Listener(callback)
    if callback is None:
        yield listener
        return
    _listeners[int(listener.number)] = listener
    try:
        yield listener
    finally:
        backend.finish_callbacks()
        del _listeners[int(listener.number)]
    listener.check()
