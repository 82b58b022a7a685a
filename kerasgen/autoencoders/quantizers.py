"""From vectors to discrete codes and back, with a gradient that passes straight through (Bengio et al. 2013)."""

import math

import keras
import numpy as np
from keras import layers, ops

from kerasgen import backend, inputs
from kerasgen.errors import InputError
from kerasgen.typing import Any, Sequence, Tensor

DECAY = 0.99  # of the averages of codes
MOST_LEVELS = 1000  # of a value: with more, 1e-3 of room at the ends is half a level
REVIVED = 0.02  # a code that is used less often than this share of the mean is taken for dead


def straight_through(z: Tensor, quantized: Tensor) -> Tensor:
    """`quantized`, whose gradient is that of z."""
    return z + ops.stop_gradient(quantized - z)


class Quantizer(layers.Layer):
    """From vectors `[B, P, dim]` to codes in 0..num_codes - 1, and back.

    A subclass gives the attributes and methods of `VectorQuantizer`.
    """

    dim: int
    num_codes: int
    waits_for_data: Any = False  # whether `start_from` is to be called before anything else


@keras.saving.register_keras_serializable("kerasgen")
class VectorQuantizer(Quantizer):
    """The nearest of `num_codes` vectors e_k, which are moving averages (van den Oord et al. 2017, appendix A.1).

    n_k and m_k are averages of how often e_k is the nearest in a batch, and of the sum of the z it is nearest to; after
    each step e_k = m_k / n_k. A code that dies, n_k below 2 % of the mean, begins anew at a z of the batch, drawn at
    random (Dhariwal et al. 2020, section 3.1).

    Args:
        num_codes: K.
        dim: D, of the vectors.
    """

    def __init__(self, num_codes: int = 256, dim: int = 16, **kwargs: Any):
        super().__init__(**{"name": "quantizer", "dtype": "float32", **kwargs})
        self.num_codes = inputs.check_integer("num_codes", num_codes, 2)
        self.dim = inputs.check_integer("dim", dim, 1)
        self.codebook, self.sums = (
            self.add_weight(shape=(num_codes, dim), initializer="zeros", trainable=False, name=name)
            for name in ("codebook", "sums")
        )
        self.counts = self.add_weight(shape=(num_codes,), initializer="zeros", trainable=False, name="counts")
        self.built = True

    @property
    def waits_for_data(self) -> bool:
        return not ops.convert_to_numpy(self.codebook).any()

    def start_from(self, z: np.ndarray, seed: int) -> None:
        """Begins with rows of z `[N, D]`, drawn at random, as codes."""
        rng = np.random.default_rng(seed)
        codes = z[rng.choice(len(z), self.num_codes, replace=len(z) < self.num_codes)]
        codes = codes + 1e-3 * z.std() * rng.normal(size=codes.shape)
        self.codebook.assign(codes)
        self.sums.assign(codes)
        self.counts.assign(np.ones(self.num_codes))

    def codes_of(self, z: Tensor) -> Tensor:
        """The nearest codes of z `[..., D]`: int32 `[...]`."""
        e = ops.convert_to_tensor(self.codebook)
        distances = ops.sum(ops.square(e), axis=1) - 2.0 * ops.matmul(z, ops.transpose(e))  # less ||z||^2
        return ops.cast(ops.argmin(distances, axis=-1), "int32")

    def vectors_of(self, codes: Tensor) -> Tensor:
        """e_k `[..., D]` of codes `[...]`."""
        return ops.take(ops.convert_to_tensor(self.codebook), codes, axis=0)

    def call(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """z `[B, P, D]` to the nearest vectors, codes `[B, P]`, and what z is to be drawn to them by, `[B]`."""
        codes = self.codes_of(z)
        quantized = ops.stop_gradient(self.vectors_of(codes))
        commitment = ops.sum(ops.square(z - quantized), axis=(1, 2))
        return straight_through(z, quantized), codes, commitment

    def update(self, z: Tensor, codes: Tensor, u: Tensor) -> None:
        """Moves the averages by a batch z `[B, P, D]` and its codes, within a step; u `[K]`, uniform, revive the dead.

        On replicas that of the global batch, the same on each.
        """
        z = ops.reshape(ops.stop_gradient(z), (-1, self.dim))
        used = ops.one_hot(ops.reshape(codes, (-1,)), self.num_codes, dtype="float32")  # [B P, K]
        counts = backend.replica_sum(ops.sum(used, axis=0))
        sums = backend.replica_sum(ops.matmul(ops.transpose(used), z))
        counts = DECAY * self.counts + (1.0 - DECAY) * counts
        sums = DECAY * self.sums + (1.0 - DECAY) * sums
        everywhere = backend.replica_gather(z)
        num = ops.shape(everywhere)[0]
        rows = ops.cast(ops.floor(u * ops.cast(num, "float32")), "int32")
        fresh = ops.take(everywhere, ops.minimum(rows, num - 1), axis=0)  # [K, D]
        mean = ops.mean(counts)
        dead = counts < REVIVED * mean
        counts = ops.where(dead, mean, counts)
        sums = ops.where(dead[:, None], mean * fresh, sums)
        self.counts.assign(counts)
        self.sums.assign(sums)
        self.codebook.assign(sums / counts[:, None])


@keras.saving.register_keras_serializable("kerasgen")
class FiniteScalarQuantizer(Quantizer):
    """Each value of z bounded and rounded to one of a few levels (Mentzer et al. 2023, "Finite scalar quantization").

    With L levels a value is round(tanh(z + s) (L - 1) (1 + 1e-3) / 2 - o), o being 1/2 for even L (and s such that 0
    stays 0), else 0; over floor(L / 2) it is in [-1, 1]. The code of a vector is its place among all combinations.

    Args:
        levels: L of each value of the vectors.
    """

    def __init__(self, levels: Sequence[int] = (8, 6, 5), **kwargs: Any):
        super().__init__(**{"name": "quantizer", "dtype": "float32", **kwargs})
        if not isinstance(levels, (list, tuple)) or not levels:
            raise InputError(f"levels is {levels!r}; expected a list of integers, one a value.")
        self.levels = tuple(inputs.check_integer("levels", level, 2, MOST_LEVELS) for level in levels)
        self.dim, self.num_codes = len(levels), math.prod(levels)
        if self.num_codes > 2**16:
            raise InputError(f"levels is {levels}, which makes {self.num_codes} codes; expected at most {2**16}.")
        self.half = tuple(float(level // 2) for level in self.levels)
        self.basis = tuple(np.cumprod([1, *self.levels[:-1]]).tolist())
        self.built = True

    def bounded(self, z: Tensor) -> Tensor:
        """z `[..., D]` to numbers that rounding brings to one of the levels."""
        levels = np.array(self.levels, np.float32)
        span = (levels - 1.0) * (1.0 + 1e-3) / 2.0
        offset = np.where(levels % 2 == 0, 0.5, 0.0).astype(np.float32)
        shift, span, offset = map(ops.convert_to_tensor, (np.arctanh(offset / span), span, offset))
        return ops.tanh(z + shift) * span - offset

    def codes_of(self, z: Tensor) -> Tensor:
        half, basis = ops.convert_to_tensor(self.half, "float32"), ops.convert_to_tensor(self.basis, "int32")
        return ops.sum(ops.cast(ops.round(self.bounded(z)) + half, "int32") * basis, axis=-1)  # of 0 to L - 1 each

    def vectors_of(self, codes: Tensor) -> Tensor:
        half, basis = ops.convert_to_tensor(self.half, "float32"), ops.convert_to_tensor(self.basis, "int32")
        places = ops.mod(ops.floor_divide(codes[..., None], basis), ops.convert_to_tensor(self.levels, "int32"))
        return (ops.cast(places, "float32") - half) / half

    def call(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `VectorQuantizer`; there is nothing that z is drawn to."""
        bounded = self.bounded(z)
        quantized = straight_through(bounded, ops.round(bounded)) / ops.convert_to_tensor(self.half, "float32")
        return quantized, self.codes_of(z), ops.zeros((ops.shape(z)[0],), "float32")

    def update(self, z: Tensor, codes: Tensor, u: Tensor) -> None:
        """Nothing is learned."""

    def start_from(self, z: np.ndarray, seed: int) -> None:
        """Nothing is learned."""


QUANTIZERS = {"vector": VectorQuantizer, "finite_scalar": FiniteScalarQuantizer}
