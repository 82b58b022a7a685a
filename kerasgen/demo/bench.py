"""One model in memory, used by one visitor at a time."""

import contextlib
import threading
from collections.abc import Iterator

from kerasgen.base import BaseModel
from kerasgen.hub.registry import load
from kerasgen.typing import Callable


class Stopped(Exception):
    """A visitor has stopped their own work."""


class Bench:
    """Whoever calls waits for those before; a model makes room for the next that is asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._name: str | None = None
        self._model: BaseModel | None = None
        self._working: dict[str, threading.Event] = {}  # by visitor, set when they stop their work

    @contextlib.contextmanager
    def model(self, name: str) -> Iterator[BaseModel]:
        """The model of a name, a folder or a repository. Raises what `load` raises; the model before is gone then."""
        with self._lock:
            if name != self._name:
                self._name = self._model = None
                self._model, self._name = load(name), name
            assert self._model is not None
            yield self._model

    @contextlib.contextmanager
    def work(self, visitor: str, tell: Callable[[int, int], None]) -> Iterator[Callable[[int, int], None]]:
        """What to call with the parts done and of all, as `verbose`. Raises `Stopped` there once `stop` was called."""
        stopped = self._working[visitor] = threading.Event()

        def done(part: int, parts: int) -> None:
            if stopped.is_set():
                raise Stopped
            tell(part, parts)

        try:
            yield done
        finally:
            self._working.pop(visitor, None)

    def stop(self, visitor: str) -> bool:
        """Stops a visitor's work at the end of its present part; whether there is any."""
        event = self._working.get(visitor)
        if event is not None:
            event.set()
        return event is not None
