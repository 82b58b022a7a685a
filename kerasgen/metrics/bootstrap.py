"""Standard errors by the bootstrap (Efron 1979)."""

import numpy as np

from kerasgen import inputs
from kerasgen.base import with_progress
from kerasgen.typing import Callable, Sequence, Verbose


def standard_error(
    statistic: Callable[..., float], sizes: Sequence[int], replicates: int, seed: int = 0, verbose: Verbose = 0
) -> float:
    """Standard deviation of `statistic(*weights)` over so many resamplings with replacement.

    Args:
        statistic: a function of one array of counts `[N]` for each set: how often each of its rows was drawn.
        sizes: N of each set.
        replicates: at least 2.

    Raises `InputError`: there is nothing to draw from, or too seldom.
    """
    inputs.check_integer("replicates", replicates, 2)
    for size in sizes:
        inputs.check_integer("the size of a set", size, 1)
    rng = np.random.default_rng(seed)
    draws = [
        statistic(*(rng.multinomial(n, np.full(n, 1.0 / n)).astype(np.float64) for n in sizes))
        for _ in with_progress(range(replicates), verbose)
    ]
    return float(np.std(draws, ddof=1))
