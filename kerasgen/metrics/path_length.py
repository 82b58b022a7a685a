"""Perceptual path length (Karras et al. 2019, section 4.1)."""

import numpy as np

from kerasgen import noise

EPSILON = 1e-2


def slerp(a, b, t):
    """Points at `t` `[N, 1]` on great circles between directions of `a` and `b` `[N, D]`, of lengths in between."""
    lengths = [np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b)]
    a, b = a / lengths[0], b / lengths[1]
    angle = np.arccos(np.clip((a * b).sum(axis=1, keepdims=True), -1.0, 1.0))
    sine = np.maximum(np.sin(angle), 1e-12)
    direction = (np.sin((1.0 - t) * angle) * a + np.sin(t * angle) * b) / sine
    return direction * ((1.0 - t) * lengths[0] + t * lengths[1])


def path_lengths(decode, features, draw, num, seed=0, epsilon=EPSILON):
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
