"""Perceptual path length (Karras et al. 2019, section 4.1, l_Z)."""

import numpy as np

from kerasgen import inputs, noise
from kerasgen.base import slerp
from kerasgen.errors import InputError
from kerasgen.metrics.checks import check_rows
from kerasgen.typing import Any, Array, Callable

EPSILON = 1e-2
# Whole paths, not their ends alone, between random z: for l_W, between what a mapping network makes of them, there is
# no such network here. The distance is that of the features, not LPIPS, of images that are not cropped.
PROTOCOL: dict[str, Any] = {"space": "z", "interpolation": "slerp", "places": "full"}


def path_lengths(
    decode: Callable, features: Callable, draw: Callable, num: int, seed: int = 0, epsilon: float = EPSILON
) -> Array:
    """|f(G(z(t + epsilon))) - f(G(z(t)))|^2 / epsilon^2 for random paths z and places t, `[num]`.

    A path goes from one random z to another on the great circle of their directions, as is right for normal z; its
    distance from 0 goes linearly. t is uniform in [0, 1 - epsilon].

    Args:
        decode: G, from latents `[N, D]` to images.
        features: f, from images to features `[N, F]`.
        draw: from `(start, stop)` to latents.

    Raises `InputError`: latents, features or arguments of which no length can be taken.
    """
    inputs.check_integer("num", num, 1)
    if not 0.0 < inputs.check_number("epsilon", epsilon, 0.0) < 1.0:
        raise InputError(f"epsilon is {epsilon}; expected a number between 0 and 1.")
    z = check_rows("latents", draw(0, 2 * num), 2 * num).astype(np.float64)
    t = (1.0 - epsilon) * noise.uniform(0, num, (1,), seed, stream=2)
    ends = (slerp(z[:num], z[num:], place).astype(np.float32) for place in (t, t + epsilon))
    a, b = (check_rows("features", features(decode(end)), num).astype(np.float64) for end in ends)
    return np.square(b - a).sum(axis=1) / epsilon**2
