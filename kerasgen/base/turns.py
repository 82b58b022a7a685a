"""Whose turn it is with a model, where threads share it."""

import contextlib
import functools
import threading
from collections import Counter
from collections.abc import Iterator

from kerasgen import backend
from kerasgen.errors import InputError
from kerasgen.typing import Callable


class Turns:
    """Any number of threads read a model, or one changes it; within its turn a thread may ask for others.

    A thread that comes at a wrong time waits, but for `fit`, which may take hours: that is an `InputError`.
    """

    def __init__(self):
        self._condition = threading.Condition()
        self._changing: list = []  # (thread, name): the calls of one thread, the outermost first
        self._reading: Counter = Counter()  # threads

    def _wait(self, free):
        while not free():
            for thread, call in self._changing[:1]:
                if call == "fit":
                    raise InputError(
                        f"fit of this model runs in another thread ({thread.name}): call it when that is done, or from "
                        "a callback of fit."
                    )
            self._condition.wait()

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """A turn of a thread that reads the model. Raises `InputError`: another thread is in `fit`."""
        me = threading.current_thread()
        with self._condition:
            self._wait(lambda: all(thread is me for thread, _ in self._changing))
            self._reading[me] += 1
        try:
            yield
        finally:
            with self._condition:
                self._reading[me] -= 1
                self._reading += Counter()  # leaves out zeros
                self._condition.notify_all()

    @contextlib.contextmanager
    def changing(self, call: str) -> Iterator[None]:
        """A turn of a thread that changes the model, in a call of this name. Raises `InputError`: as `reading`."""
        me = threading.current_thread()
        with self._condition:
            self._wait(lambda: all(thread is me for thread in (*(t for t, _ in self._changing), *self._reading)))
            self._changing.append((me, call))
        try:
            yield
        finally:
            with self._condition:
                self._changing.pop()
                self._condition.notify_all()


def alone(method: Callable) -> Callable:
    """A method that changes a model's state: no other thread uses the model meanwhile, and what fails loses nothing."""

    @functools.wraps(method)
    def call(self, *args, **kwargs):
        with self.turns.changing(method.__name__), backend.keeping(self):
            if self.programs.refresh():  # Keras' own programs are of layers that were others, too
                self.train_function = self.test_function = self.predict_function = None
            return method(self, *args, **kwargs)

    return call
