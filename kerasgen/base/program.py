"""Compiled programs over many examples: in batches of one size, with a bar where it takes long."""

import math

import keras
import numpy as np
from keras import ops

from kerasgen import inputs
from kerasgen.typing import Callable, Verbose


def batched(program: Callable, num: int, batch: Callable, size: int = 64, verbose: Verbose = "auto") -> np.ndarray:
    """Rows 0 to `num - 1` of `program(*batch(start, stop))`, float32.

    The last batch is filled up with copies of its first row, so that there is one compiled program.

    Args:
        program: from tensors of leading axis B to a tensor of leading axis B.
        num: number of rows.
        batch: from `(start, stop)` to a list of NumPy arrays (or `None`) of leading axis `stop - start`.
        size: most rows at once.
    """
    size = min(inputs.check_integer("batch_size", size, 1), 2 ** math.ceil(math.log2(num)))
    show = verbose in (1, 2, True) or (verbose == "auto" and num > size)
    bar = keras.utils.Progbar(math.ceil(num / size)) if show else None
    results = []
    for start in range(0, num, size):
        stop = min(start + size, num)
        arrays = [
            None if a is None else np.concatenate([a, np.repeat(a[:1], size - len(a), axis=0)])
            for a in batch(start, stop)
        ]
        result = program(*[None if a is None else ops.convert_to_tensor(a) for a in arrays])
        results.append(ops.convert_to_numpy(result)[: stop - start])
        if bar:
            bar.add(1)
    return np.concatenate(results).astype(np.float32, copy=False)


def rows(*arrays: np.ndarray | None) -> Callable:
    """`batch(start, stop)` for `batched`: slices of arrays, `None` for those that are `None`."""
    return lambda start, stop: [None if array is None else array[start:stop] for array in arrays]
