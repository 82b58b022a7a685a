"""Perceptual path length (Karras et al. 2019, section 4.1)."""

import numpy as np

from kerasgen import noise
from kerasgen.base import slerp
from kerasgen.typing import Array, Callable

EPSILON = 1e-2


def path_lengths(
    decode: Callable, features: Callable, draw: Callable, num: int, seed: int = 0, epsilon: float = EPSILON
) -> Array:
    """|f(G(z(t + epsilon))) - f(G(z(t)))|^2 / epsilon^2 for random paths z and places t, `[num]`.

    Args:
        decode: G, from latents `[N, D]` to images.
        features: f, from images to features `[N, F]`.
        draw: from `(start, stop)` to latents.
    """
    z = np.asarray(draw(0, 2 * num), np.float64)
    t = (1.0 - epsilon) * noise.uniform(0, num, (1,), seed, stream=2)
    ends = (slerp(z[:num], z[num:], place).astype(np.float32) for place in (t, t + epsilon))
    a, b = (features(decode(end)) for end in ends)
    return np.square(np.asarray(b, np.float64) - a).sum(axis=1) / epsilon**2
