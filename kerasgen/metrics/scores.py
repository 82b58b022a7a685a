"""What a classifier says of samples."""

import numpy as np

from kerasgen.metrics.checks import check_probabilities, check_weights
from kerasgen.typing import Array, ArrayLike


def inception_score(probabilities: ArrayLike, weights: Array | None = None) -> float:
    """exp of the mean over images of KL(p(y | x) || p(y)), from `[N, K]` (Salimans et al. 2016, section 4).

    Between 1 and K; p(y) is the mean of p(y | x) over all N, with no splits. `weights` `[N]`: how often each counts.

    Raises `InputError`: rows that are no probabilities.
    """
    p = check_probabilities(probabilities)
    weights = np.ones(len(p)) if weights is None else check_weights(weights, len(p))
    share = weights / weights.sum()
    marginal = share @ p
    entropies = -(p * np.log(np.maximum(p, 1e-300))).sum(axis=1)  # [N]
    return float(np.exp(-(marginal * np.log(np.maximum(marginal, 1e-300))).sum() - share @ entropies))
