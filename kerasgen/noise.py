"""Noise for sampling that is the same on every backend, on any day and for any number of images.

Image `i` under seed `s` has its own stream of the counter-based generator Philox4x64-10 (Salmon et al. 2011, "Parallel
random numbers: as easy as 1, 2, 3"), with key `s` and counter `(0, i, 0, 0)`: it does not depend on how many images are
drawn, nor on the batch size. NumPy promises the raw bits of its bit generators for good (NEP 19), but not those of its
distributions, so these are made here.
"""

import math
import secrets

import numpy as np
from keras import ops

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


# Noise that is drawn while a program runs, step after step: Threefry-2x32-20 (Salmon et al. 2011) in int32 tensors,
# whose sums wrap around on every backend.

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA


def keys(start, stop, seed, stream=3):
    """A key for each of the images `start` to `stop - 1`: int32 `[stop - start, 2]`."""
    rows = np.empty((stop - start, 1), np.uint64)
    for row, image in enumerate(range(start, stop)):
        rows[row] = np.random.Philox(key=seed, counter=[0, image, stream, 0]).random_raw(1)
    return rows.view(np.int32)


def threefry(key, counter):
    """Two int32 tensors of random bits, from a pair of keys and a pair of counters, int32 of shapes that fit."""
    schedule = (*key, ops.bitwise_xor(ops.bitwise_xor(key[0], key[1]), PARITY))
    x, y = counter[0] + schedule[0], counter[1] + schedule[1]
    for group in range(5):
        for rotation in ROTATIONS[group % 2]:
            x = x + y
            low = ops.bitwise_and(ops.right_shift(y, 32 - rotation), (1 << rotation) - 1)  # shifts keep the sign
            y = ops.bitwise_xor(ops.bitwise_or(ops.left_shift(y, rotation), low), x)
        x = x + schedule[(group + 1) % 3]
        y = y + schedule[(group + 2) % 3] + (group + 1)
    return x, y


def step_normal(key, step, shape):
    """Standard normal numbers, float32 `[B, *shape]`, for keys `[B, 2]` and a step, int32 and maybe traced.

    They depend on the key, the step and the place in `shape` alone.
    """
    size = math.prod(shape)
    half = (size + 1) // 2
    places = ops.arange(half, dtype="int32")[None]  # [1, half]
    bits = threefry((key[:, :1], key[:, 1:]), (places, ops.zeros_like(places) + step))
    # 23 bits, in the middle of their interval, so neither 0 nor 1.
    u, v = ((ops.cast(ops.bitwise_and(ops.right_shift(b, 9), 0x7FFFFF), "float32") + 0.5) * 2.0**-23 for b in bits)
    radius, angle = ops.sqrt(-2.0 * ops.log(u)), (2.0 * math.pi) * v
    pair = ops.concatenate([radius * ops.cos(angle), radius * ops.sin(angle)], axis=1)  # [B, 2 half]
    return ops.reshape(pair[:, :size], (-1, *shape))
