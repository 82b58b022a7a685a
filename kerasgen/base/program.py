"""Compiled programs over many examples: in batches of one size, with a bar where it takes long."""

import itertools
import math
import threading
from collections.abc import Iterator

import keras
import numpy as np
from keras import ops

from kerasgen import backend, inputs
from kerasgen.base.rate import Rate
from kerasgen.typing import Any, Callable, Sequence, Verbose

MOST_PROGRAMS = 32  # that a model keeps


class Programs:
    """The programs that a model has compiled: those last used, for as long as its layers are what they were.

    `quantize`, `enable_lora` and new dtype policies, of the model or of any layer in it, give it other programs.
    """

    def __init__(self, model: Any):
        self._model = model
        self._lock = threading.Lock()
        self._kept: dict[tuple, Callable] = {}  # the last used last
        self._variables: list = []
        self._policies: list[str] = []

    def refresh(self) -> bool:
        """Whether the model's variables or dtype policies are others than they were; if so, no program is kept."""
        variables, policies = (
            self._model.variables,
            [layer.dtype_policy.name for layer in self._model._flatten_layers()],
        )
        with self._lock:
            same = policies == self._policies and list(map(id, variables)) == list(map(id, self._variables))
            if not same:
                self._kept.clear()
                self._variables, self._policies = variables, policies
        return not same

    def clear(self) -> None:
        """Forgets all programs."""
        with self._lock:
            self._kept.clear()

    def compiled(self, function: Callable, static: tuple, arguments: tuple) -> Callable:
        """The program `(*arguments)` of `function(*arguments, *static)`, for arguments of such shapes.

        Args:
            static: hashable.
            arguments: trees of tensors and `None`.
        """
        spec = tuple(
            None if a is None else (tuple(a.shape), keras.backend.standardize_dtype(a.dtype))
            for a in keras.tree.flatten(arguments)
        )
        key = (function, static, spec)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = backend.compiled(self._model, lambda *arguments: function(*arguments, *static))
                if len(self._kept) > MOST_PROGRAMS:
                    del self._kept[next(iter(self._kept))]
            program = self._kept[key] = self._kept.pop(key)
        return program


def progress(num: int, verbose: Verbose = "auto", noun: str = "examples") -> Callable[[int], Any]:
    """What is to be called after each of `num` parts of some work, with the number of examples in it, or 0.

    Args:
        verbose: 1 for a bar; "auto" for one where there are several parts; 0 for none; or a function, which is called
            with the number of parts done and of all. What it raises ends the work.
        noun: what the bar calls the examples, of which it says how many are done a second.
    """
    if callable(verbose):
        count = itertools.count(1)
        return lambda rows: verbose(next(count), num)
    if verbose in (1, 2, True) or (verbose == "auto" and num > 1):
        bar, rate, total = keras.utils.Progbar(num), Rate(noun), 0

        def done(rows):
            nonlocal total
            total += rows
            bar.unit_name = rate.at(total)
            bar.add(1)

        return done
    return lambda rows: None


def batched(
    program: Callable, num: int, batch: Callable, size: int = 64, verbose: Verbose = "auto", noun: str = "examples"
) -> np.ndarray:
    """Rows 0 to `num - 1` of `program(*batch(start, stop))`, float32.

    The last batch is filled up with copies of its first row, so that there is one compiled program.

    Args:
        program: from tensors of leading axis B to a tensor of leading axis B.
        num: number of rows.
        batch: from `(start, stop)` to a list of NumPy arrays (or `None`) of leading axis `stop - start`.
        size: most rows at once.
        verbose, noun: see `progress`, of batches.
    """
    size = min(inputs.check_integer("batch_size", size, 1), 2 ** math.ceil(math.log2(num)))
    done = progress(math.ceil(num / size), verbose, noun)
    results = []
    for start in range(0, num, size):
        stop = min(start + size, num)
        arrays = [
            None if a is None else np.concatenate([a, np.repeat(a[:1], size - len(a), axis=0)])
            for a in batch(start, stop)
        ]
        result = program(*[None if a is None else ops.convert_to_tensor(a) for a in arrays])
        results.append(ops.convert_to_numpy(result)[: stop - start])
        done(stop - start)
    return np.concatenate(results).astype(np.float32, copy=False)


def mean_of_each(x: Any) -> Any:
    """The mean over all values of each example, `[B]`, of a tensor `[B, ...]`."""
    return ops.mean(x, axis=tuple(range(1, len(x.shape))))


def sum_of_each(x: Any) -> Any:
    """The sum, likewise."""
    return ops.sum(x, axis=tuple(range(1, len(x.shape))))


def with_progress(
    items: Sequence, verbose: Verbose = "auto", rows: Callable[[Any], int] = lambda item: 0, noun: str = "examples"
) -> Iterator:
    """The items, with the `progress` of them; `rows` gives the number of examples in one."""
    done = progress(len(items), verbose, noun)
    for item in items:
        yield item
        done(rows(item))


def rows(*arrays: np.ndarray | None) -> Callable:
    """`batch(start, stop)` for `batched`: slices of arrays, `None` for those that are `None`."""
    return lambda start, stop: [None if array is None else array[start:stop] for array in arrays]
