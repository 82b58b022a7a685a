"""Standard errors by the bootstrap (Efron 1979)."""

import numpy as np


def standard_error(statistic, sizes, replicates, seed=0):
    """Standard deviation of `statistic(*weights)` over resamplings with replacement.

    Args:
        statistic: a function of one array of counts `[N]` for each set, how often each of its rows was drawn.
        sizes: N of each set.
        replicates: number of resamplings.
    """
    rng = np.random.default_rng(seed)
    draws = [
        statistic(*(rng.multinomial(n, np.full(n, 1.0 / n)).astype(np.float64) for n in sizes))
        for _ in range(replicates)
    ]
    return float(np.std(draws, ddof=1))
