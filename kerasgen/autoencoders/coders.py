"""Entropy coders, those of the library `constriction`."""

import functools

import numpy as np

from kerasgen.errors import InputError
from kerasgen.typing import Any, Array


def _library() -> Any:
    try:
        import constriction
    except ImportError as error:
        raise InputError('coding needs constriction: pip install "kerasgen-zoo[compression]".') from error
    return constriction.stream


@functools.cache
def _categorical():
    return _library().model.Categorical(perfect=False)


def to_bytes(words: Array) -> bytes:
    """32-bit words, least significant byte first."""
    return words.astype("<u4").tobytes()


def to_words(payload: bytes) -> Array:
    """Raises `InputError`: there is part of a word left."""
    if len(payload) % 4:
        raise InputError(f"the data is no coded stream ({len(payload)} bytes), or damaged.")
    return np.frombuffer(payload, "<u4").astype(np.uint32)


class RangeEncoder:
    """Symbols in the order in which a `RangeDecoder` gives them again (Martin 1979)."""

    def __init__(self):
        self._coder = _library().queue.RangeEncoder()

    def put(self, symbols: Array, weights: Array) -> None:
        """`[N]`, each by its row of `[N, K]` whole numbers in proportion to the probabilities."""
        self._coder.encode(np.ascontiguousarray(symbols, np.int32), _categorical(), np.ascontiguousarray(weights))

    def bytes(self) -> bytes:
        return to_bytes(self._coder.get_compressed())


class RangeDecoder:
    """See `RangeEncoder`."""

    def __init__(self, payload: bytes):
        self._coder = _library().queue.RangeDecoder(to_words(payload))

    def get(self, weights: Array) -> Array:
        """The next N symbols, int32, by weights `[N, K]`. Raises `InputError`: there are none like these."""
        try:
            return self._coder.decode(_categorical(), np.ascontiguousarray(weights))
        except AssertionError as error:
            raise InputError(f"the data is no coded stream, or damaged ({error}).") from error


class Stack:
    """Symbols last in, first out (Duda 2013, "Asymmetric numeral systems"); what is popped can be pushed again.

    An empty one gives symbols too, of no bits.
    """

    def __init__(self, payload: bytes = b""):
        words = to_words(payload)
        if len(words) and not words[-1]:
            raise InputError("the data is no coded stream, or damaged: its last word is empty.")
        self._coder = _library().stack.AnsCoder(words) if len(words) else _library().stack.AnsCoder()

    def push(self, symbols: Array, weights: Array) -> None:
        """`[N]`, each by its row of whole numbers `[N, K]`; `pop` gives them in the same order."""
        symbols = np.ascontiguousarray(symbols, np.int32)
        self._coder.encode_reverse(symbols, _categorical(), np.ascontiguousarray(weights))

    def pop(self, weights: Array) -> Array:
        return self._coder.decode(_categorical(), np.ascontiguousarray(weights))

    def push_uniform(self, symbols: Array, bits: int) -> None:
        """`[N]` of 2^bits symbols that are equally likely."""
        self._coder.encode_reverse(np.ascontiguousarray(symbols, np.int32), _library().model.Uniform(2**bits))

    def pop_uniform(self, num: int, bits: int) -> Array:
        return self._coder.decode(_library().model.Uniform(2**bits), num)

    def bytes(self) -> bytes:
        return to_bytes(self._coder.get_compressed())
