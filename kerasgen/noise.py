"""Noise for sampling that is the same on every backend, on any day and for any number of images.

Image `i` under seed `s` has its own stream of the counter-based generator Philox4x64-10 (Salmon et al. 2011, "Parallel
random numbers: as easy as 1, 2, 3"), with key `s` and counter `(0, i, 0, 0)`: it does not depend on how many images are
drawn, nor on the batch size. NumPy promises the raw bits of its bit generators for good (NEP 19), but not those of its
distributions, so these are made here.
"""

import math
import secrets

import numpy as np

from kerasgen.errors import InputError


def check_seed(seed):
    """The seed as an int in [0, 2**64), a fresh one for `None`. Raises `InputError`."""
    if seed is None:
        return secrets.randbits(63)
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**64:
        raise InputError(f"seed is {seed!r}; expected None or an integer from 0 to 2**64 - 1.")
    return int(seed)


def uniform(start, stop, shape, seed, stream=0):
    """Uniform numbers in (0, 1] for the images `start` to `stop - 1`: float64 `[stop - start, *shape]`.

    `stream` tells apart independent draws for the same image.
    """
    size = math.prod(shape)
    rows = np.empty((stop - start, size), np.uint64)
    for row, image in enumerate(range(start, stop)):
        rows[row] = np.random.Philox(key=seed, counter=[0, image, stream, 0]).random_raw(size)
    return (((rows >> np.uint64(11)) + np.uint64(1)) * 2.0**-53).reshape(stop - start, *shape)


def normal(start, stop, shape, seed, stream=0):
    """Standard normal numbers for the images `start` to `stop - 1`: float32 `[stop - start, *shape]`.

    Box and Muller (1958): r = sqrt(-2 ln u), and r cos(2 pi v), r sin(2 pi v) are independent N(0, 1).
    """
    size = math.prod(shape)
    half = (size + 1) // 2
    u = uniform(start, stop, (2, half), seed, stream)
    radius, angle = np.sqrt(-2.0 * np.log(u[:, 0])), 2.0 * math.pi * u[:, 1]
    pair = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return pair[:, :size].reshape(stop - start, *shape).astype(np.float32)
