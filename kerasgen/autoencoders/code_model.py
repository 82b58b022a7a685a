"""A model of discrete codes on a grid, each given those before it: the probabilities by which they are coded."""

import math

import keras
import numpy as np
from keras import layers, ops

from kerasgen.autoencoders.coders import RangeDecoder, RangeEncoder
from kerasgen.autoencoders.fixed_point import BITS, check_exact, fixed, shifted, softmax_weights
from kerasgen.typing import Any, Array, Tensor

ROWS = 1024  # grids whose probabilities are made at once
# What a code is given: codes at these places above it and to its left, (rows, columns) away.
NEIGHBOURS = ((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0), (-1, -2), (-1, 2), (-2, -1), (-2, 1))


@keras.saving.register_keras_serializable("kerasgen")
class CodeModel(layers.Layer):
    """log p(c) = sum_i log p(c_i | neighbours of i), for codes c `[B, h w]` in 0..num_codes - 1, row by row.

    h_1 = relu(sum_n E_n[c_n] + P_i), with a table E_n for each neighbour (its last row for places outside of the grid)
    and a vector P_i for each place; h_2 = relu(h_1 W_1 + b_1); the logits are h_2 W_2 + b_2.

    Args:
        num_codes: values that a code can take.
        sides: h and w.
        width: of both hidden layers.
    """

    def __init__(self, num_codes: int, sides: tuple[int, int], width: int = 128, **kwargs: Any):
        super().__init__(**{"name": "code_model", "dtype": "float32", **kwargs})
        self.num_codes, self.sides = num_codes, (sides[0], sides[1])
        num, places = len(NEIGHBOURS), math.prod(sides)
        near = keras.initializers.RandomNormal(stddev=0.05, seed=0)
        dense = keras.initializers.GlorotUniform(seed=0)
        self.tables = self.add_weight(shape=(num, num_codes + 1, width), initializer=near, name="tables")
        self.places = self.add_weight(shape=(places, width), initializer=near, name="places")
        self.hidden = self.add_weight(shape=(width, width), initializer=dense, name="hidden")
        self.hidden_bias = self.add_weight(shape=(width,), initializer="zeros", name="hidden_bias")
        self.kernel = self.add_weight(shape=(width, num_codes), initializer=dense, name="kernel")
        self.bias = self.add_weight(shape=(num_codes,), initializer="zeros", name="bias")
        self.around = neighbour_places(self.sides)
        self.built = True

    def log_prob(self, codes: Tensor) -> Tensor:
        """Nats `[B]`."""
        num, places = ops.shape(codes)[0], math.prod(self.sides)
        outside = ops.full((num, 1), self.num_codes, "int32")
        padded = ops.concatenate([ops.cast(codes, "int32"), outside], axis=1)  # the last place is outside
        tables = ops.convert_to_tensor(self.tables)
        x = ops.convert_to_tensor(self.places)[None]
        for table, around in zip(range(len(NEIGHBOURS)), self.around.T, strict=True):
            x = x + ops.take(tables[table], ops.take(padded, around, axis=1), axis=0)  # [B, P, width]
        x = ops.relu(ops.matmul(ops.relu(x), self.hidden) + self.hidden_bias)
        logits = ops.matmul(x, self.kernel) + self.bias
        chosen = ops.one_hot(codes, self.num_codes, dtype="float32")
        return ops.sum(ops.reshape(ops.log_softmax(logits) * chosen, (num, places * self.num_codes)), axis=1)


def neighbour_places(sides: tuple[int, int]) -> Array:
    """Numbers of the neighbours' places, int32 `[h w, num]`; h w for those outside of the grid."""
    height, width = sides
    found = np.full((height * width, len(NEIGHBOURS)), height * width, np.int32)
    for place in range(height * width):
        for index, (down, right) in enumerate(NEIGHBOURS):
            row, column = place // width + down, place % width + right
            if row >= 0 and 0 <= column < width:
                found[place, index] = row * width + column
    return found


def parts(num: int) -> list[slice]:
    """So many grids, in parts whose probabilities are in memory at once."""
    return [slice(start, start + ROWS) for start in range(0, num, ROWS)]


class CodeCoder:
    """Codes to bytes and back, by the probabilities of a `CodeModel` in whole numbers (see `fixed_point`)."""

    def __init__(self, model: CodeModel):
        self.tables, self.places, self.hidden, self.kernel = (
            fixed(ops.convert_to_numpy(w)) for w in (model.tables, model.places, model.hidden, model.kernel)
        )
        # Biases are added to products, before these are brought back to BITS.
        self.hidden_bias, self.bias = (
            fixed(ops.convert_to_numpy(w)) * 2.0**BITS for w in (model.hidden_bias, model.bias)
        )
        self.num_codes, self.around = model.num_codes, model.around
        first = np.abs(self.tables).max(axis=1).sum(axis=0) + np.abs(self.places).max(axis=0)
        second = first @ np.abs(self.hidden) + np.abs(self.hidden_bias)
        third = shifted(second) @ np.abs(self.kernel) + np.abs(self.bias)
        check_exact(first.max(), second.max(), third.max())

    def weights(self, padded: Array, place: int) -> Array:
        """In proportion to the probabilities at a place, `[N, num_codes]`, of codes `[N, h w + 1]` known before it."""
        x = self.places[place] + sum(
            table[padded[:, around]] for table, around in zip(self.tables, self.around[place], strict=True)
        )
        x = shifted(np.maximum(x, 0.0) @ self.hidden + self.hidden_bias)
        return softmax_weights(shifted(np.maximum(x, 0.0) @ self.kernel + self.bias))

    def encode(self, codes: Array) -> bytes:
        """Codes `[N, h w]`, place by place of all, then the next place."""
        coder, padded = RangeEncoder(), self.padded(codes)
        for place in range(codes.shape[1]):
            for some in parts(len(codes)):
                coder.put(codes[some, place], self.weights(padded[some], place))
        return coder.bytes()

    def decode(self, payload: bytes, num: int) -> Array:
        """Codes int32 `[num, h w]` of what `encode` gave."""
        coder, places = RangeDecoder(payload), len(self.places)
        padded = np.full((num, places + 1), self.num_codes, np.int32)
        for place in range(places):
            for some in parts(num):
                padded[some, place] = coder.get(self.weights(padded[some], place))
        return padded[:, :places]

    def padded(self, codes: Array) -> Array:
        return np.pad(codes, ((0, 0), (0, 1)), constant_values=self.num_codes)

    def log_prob(self, codes: Array) -> Array:
        """Nats `[N]`, by the probabilities that code."""
        padded, found = self.padded(codes), np.zeros(len(codes))
        for place in range(codes.shape[1]):
            weights = self.weights(padded, place)
            chosen = np.take_along_axis(weights, codes[:, place, None], axis=1)[:, 0]
            found += np.log(chosen / weights.sum(axis=1))
        return found
