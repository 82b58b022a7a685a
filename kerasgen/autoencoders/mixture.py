"""A Gaussian mixture fitted by expectation maximisation (Dempster et al. 1977), for densities of latents."""

import numpy as np

from kerasgen.typing import Array, ArrayLike


def log_densities(x: Array, log_weights: Array, means: Array, factors: Array) -> Array:
    """log(weight_k N(x; mean_k, factor_k factor_k^T)) in nats, `[N, K]`: x `[N, D]`, lower factors `[K, D, D]`."""
    columns = []
    for log_weight, mean, factor in zip(log_weights, means, factors, strict=True):
        whitened = np.linalg.solve(factor, (x - mean).T)  # [D, N]
        log_det = np.log(np.diagonal(factor)).sum()
        constant = log_weight - log_det - 0.5 * x.shape[1] * np.log(2.0 * np.pi)
        columns.append(constant - 0.5 * np.square(whitened).sum(axis=0))
    return np.stack(columns, axis=1)


def fit_mixture(
    x: ArrayLike, num_components: int, seed: int = 0, max_iterations: int = 200, tolerance: float = 1e-4
) -> tuple[Array, Array, Array]:
    """Weights `[K]`, means `[K, D]` and lower Cholesky factors `[K, D, D]` of a mixture fitted to x `[N, D]`.

    Starts from means drawn as k-means++ does and the covariance of all data; stops when the mean log-likelihood rises
    by less than `tolerance` nats. A millionth of the data's mean variance is added to each variance.
    """
    x = np.asarray(x, np.float64)
    num, dim = x.shape
    draw = np.random.RandomState(seed % 2**32)
    ridge = 1e-6 * max(x.var(axis=0).mean(), 1e-12) * np.eye(dim)
    means = [x[draw.randint(num)]]
    for _ in range(num_components - 1):
        distances = np.min([np.square(x - mean).sum(axis=1) for mean in means], axis=0)
        total = distances.sum()
        means.append(x[draw.choice(num, p=distances / total if total > 0 else None)])
    means = np.array(means)
    weights = np.full(num_components, 1.0 / num_components)
    factors = np.tile(np.linalg.cholesky(np.atleast_2d(np.cov(x.T, bias=True)) + ridge), (num_components, 1, 1))
    previous = -np.inf
    for _ in range(max_iterations):
        joint = log_densities(x, np.log(weights), means, factors)
        log_p = np.logaddexp.reduce(joint, axis=1, keepdims=True)
        responsibility = np.exp(joint - log_p)  # [N, K]
        counts = responsibility.sum(axis=0) + 1e-10
        weights = counts / counts.sum()
        means = responsibility.T @ x / counts[:, None]
        for k in range(num_components):
            centred = x - means[k]
            covariance = (responsibility[:, k, None] * centred).T @ centred / counts[k]
            factors[k] = np.linalg.cholesky(covariance + ridge)
        if log_p.mean() - previous < tolerance:
            break
        previous = log_p.mean()
    return weights, means, factors
