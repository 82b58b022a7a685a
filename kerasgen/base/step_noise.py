"""Noise of steps: drawn for the whole global batch, of which each replica takes its rows, as one device would."""

import keras
from keras import ops

from kerasgen import backend
from kerasgen.typing import Any, Callable, Tensor


class StepNoise:
    """Mixed into a model with a `seed_generator`."""

    seed_generator: Any

    def normal(self, shape: tuple) -> Tensor:
        """Standard normal noise of a step, float32; the first axis is the batch."""
        return self.draw(keras.random.normal, shape)

    def uniform(self, shape: tuple) -> Tensor:
        """Random numbers in [0, 1) of a step, float32; the first axis, if any, is the batch."""
        return self.draw(keras.random.uniform, shape)

    def stratified(self, num: Any) -> Tensor:
        """Numbers in [0, 1), `[num]`, each uniform, and evenly spread over the batch (Kingma et al. 2021, app. I.1)."""
        start, total = backend.replica_rows(num)
        place = ops.cast(start + ops.arange(num, dtype="int32"), "float32")
        return (place / ops.cast(total, "float32") + self.uniform(())) % 1.0

    def draw(self, distribution: Callable, shape: tuple) -> Tensor:
        """Numbers of a distribution of `keras.random`, float32."""
        if not shape:
            return distribution(shape, dtype="float32", seed=self.seed_generator)
        num, *rest = shape
        start, total = backend.replica_rows(num)
        return distribution((total, *rest), dtype="float32", seed=self.seed_generator)[start : start + num]

    def on_global_batch(self, function: Callable, *arrays: Tensor) -> Tensor:
        """This replica's rows of `function(*arrays)`, which is given those of the whole global batch."""
        num = ops.shape(arrays[0])[0]
        start, _ = backend.replica_rows(num)
        return function(*map(backend.replica_gather, arrays))[start : start + num]
