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

from kerasgen.inputs import check_integer
from kerasgen.typing import Array, Seed, Tensor


def check_seed(seed: Seed) -> int:
    """The seed as an int in [0, 2**64), a fresh one for `None`. Raises `InputError`."""
    return secrets.randbits(63) if seed is None else check_integer("seed", seed, 0, 2**64 - 1)


def _bits(start, stop, size, seed, stream):
    """Random bits for the images `start` to `stop - 1`: uint64 `[stop - start, size]`."""
    counters = ([0, image, stream, 0] for image in range(start, stop))
    return np.stack([np.random.Philox(key=seed, counter=counter).random_raw(size) for counter in counters])


def uniform(start: int, stop: int, shape: tuple[int, ...], seed: int, stream: int = 0) -> Array:
    """Uniform numbers in (0, 1] for the images `start` to `stop - 1`: float64 `[stop - start, *shape]`.

    `stream` tells apart independent draws for the same image.
    """
    rows = _bits(start, stop, math.prod(shape), seed, stream)
    return (((rows >> np.uint64(11)) + np.uint64(1)) * 2.0**-53).reshape(stop - start, *shape)


def _box_muller(u, v, size, ops=ops):
    """Standard normal numbers `[N, size]` from two uniform ones `[N, half]` (Box and Muller 1958).

    r = sqrt(-2 ln u); r cos(2 pi v) and r sin(2 pi v) are independent N(0, 1).
    """
    radius, angle = ops.sqrt(-2.0 * ops.log(u)), (2.0 * math.pi) * v
    return ops.concatenate([radius * ops.cos(angle), radius * ops.sin(angle)], axis=1)[:, :size]


def normal(start: int, stop: int, shape: tuple[int, ...], seed: int, stream: int = 0) -> Array:
    """Standard normal numbers for the images `start` to `stop - 1`: float32 `[stop - start, *shape]`."""
    size = math.prod(shape)
    u = uniform(start, stop, (2, (size + 1) // 2), seed, stream)
    return _box_muller(u[:, 0], u[:, 1], size, np).reshape(stop - start, *shape).astype(np.float32)


# Noise that is drawn while a program runs, step after step: Threefry-2x32-20 (Salmon et al. 2011) in int32 tensors,
# whose sums wrap around on every backend.

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA


def keys(start: int, stop: int, seed: int, stream: int = 3) -> Array:
    """A key for each of the images `start` to `stop - 1`: int32 `[stop - start, 2]`."""
    return _bits(start, stop, 1, seed, stream).view(np.int32)


def threefry(key: tuple[Tensor, Tensor], counter: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
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


def step_normal(key: Tensor, step: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Standard normal numbers, float32 `[B, *shape]`, for keys `[B, 2]` and a step, int32 and maybe traced.

    They depend on the key, the step and the place in `shape` alone.
    """
    size = math.prod(shape)
    places = ops.arange((size + 1) // 2, dtype="int32")[None]  # [1, half]
    bits = threefry((key[:, :1], key[:, 1:]), (places, ops.zeros_like(places) + step))
    # 23 bits, in the middle of their interval, so neither 0 nor 1.
    u, v = ((ops.cast(ops.bitwise_and(ops.right_shift(b, 9), 0x7FFFFF), "float32") + 0.5) * 2.0**-23 for b in bits)
    return ops.reshape(_box_muller(u, v, size), (-1, *shape))
