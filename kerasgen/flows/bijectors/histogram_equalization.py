"""Histogram equalization: the marginal distribution of pixels made uniform, exactly and invertibly."""

import math

import keras
import numpy as np
from keras import ops

from kerasgen.base import sum_of_each
from kerasgen.flows.bijectors.base import Array, DataDependentBijector, Result, Shape, Tensor

LEAST = 2.0**-16  # frequency of a pixel value


class HistogramEqualization(DataDependentBijector):
    """z = F(x), the distribution function of a channel's values in [0, 1], linear in each of 2^num_bits bins.

    With f_k the frequency of pixel value k, F rises by f_k over the bin [k, k + 1] / 2^n, so that
    log dz/dx = log(2^n f_k), and uniformly dequantized pixels become uniform on [0, 1]. A value that most pixels have,
    as on a black ground, gets its high density here; couplings with bounded scales would need many layers for that.
    `initialize` sets the frequencies; they are part of the weights, and not trained. Each count gets one more, or what
    makes `LEAST` of all: z, a float32 near 1, has steps of 2^-24, and so 256 of them at least in each bin.
    """

    def __init__(self, shape: Shape, num_bits: int = 8, name: str = "histogram_equalization"):
        super().__init__(shape, name=name)
        self.num_bits = num_bits
        self.num_levels = 2**num_bits
        uniform = keras.initializers.Constant(-num_bits * math.log(2.0))
        table = (self.num_levels, self.shape[-1])
        self.log_frequency = self.add_weight(shape=table, initializer=uniform, trainable=False, name="log_frequency")
        self._initialized = self.make_flag()

    def set_from(self, x: Array) -> None:
        channels = self.shape[-1]
        levels = np.clip(x * self.num_levels, 0, self.num_levels - 1).astype(np.int64).reshape(-1, channels)
        more = max(1.0, LEAST * len(levels))
        counts = [np.bincount(levels[:, c], minlength=self.num_levels) + more for c in range(channels)]
        self.log_frequency.assign(np.log(np.stack(counts, axis=1) / (len(levels) + more * self.num_levels)))

    def _tables(self):
        """Frequencies that sum to one, and the distribution function at the lower edges, each flat `[2^n * C]`."""
        frequency = ops.softmax(ops.convert_to_tensor(self.log_frequency), axis=0)
        lower = ops.cumsum(frequency, axis=0) - frequency
        return ops.reshape(frequency, (-1,)), ops.reshape(lower, (-1,))

    def _look_up(self, table, levels):
        """Entries of a flat table for levels `[B, ..., C]`."""
        return ops.take(table, levels * self.shape[-1] + ops.arange(self.shape[-1], dtype="int32"))

    def forward_and_log_det(self, x: Tensor, condition: Tensor | None = None, training: bool = False) -> Result:
        frequency, lower = self._tables()
        scaled = x * self.num_levels
        levels = ops.clip(ops.cast(ops.floor(scaled), "int32"), 0, self.num_levels - 1)
        f = self._look_up(frequency, levels)
        z = self._look_up(lower, levels) + f * (scaled - ops.cast(levels, "float32"))
        return z, sum_of_each(ops.log(f * self.num_levels))

    def inverse_and_log_det(self, z: Tensor, condition: Tensor | None = None, training: bool = False) -> Result:
        frequency, lower = self._tables()
        levels = ops.zeros_like(z, dtype="int32")
        for bit in reversed(range(self.num_bits)):  # a binary search, of what every runtime has
            higher = levels + 2**bit
            levels = ops.where(self._look_up(lower, higher) <= z, higher, levels)
        f = self._look_up(frequency, levels)
        x = (ops.cast(levels, "float32") + (z - self._look_up(lower, levels)) / f) / self.num_levels
        return x, -sum_of_each(ops.log(f * self.num_levels))
