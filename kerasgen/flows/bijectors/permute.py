"""A fixed permutation of the channels (Dinh et al. 2015, "NICE", section 3.2, for a reversal)."""

import numpy as np
from keras import ops

from kerasgen.flows.bijectors.base import Bijector, Result, Shape, Tensor, repeated


class Permute(Bijector):
    """Channels (features of a vector) in another order: at random by `seed`, or reversed if it is `None`.

    The log-determinant is 0. The order is part of the weights.
    """

    def __init__(self, shape: Shape, seed: int | None = None, name: str = "permute"):
        super().__init__(shape, name=name)
        size = self.shape[-1]

        def order(shape, dtype):
            reverse = np.arange(size)[::-1]
            return ops.cast(reverse.copy() if seed is None else np.random.default_rng(seed).permutation(size), dtype)

        self.order = self.add_weight(shape=(size,), initializer=order, dtype="int32", trainable=False, name="order")

    def forward_and_log_det(self, x: Tensor, condition: Tensor | None = None, training: bool = False) -> Result:
        return ops.take(x, self.order, axis=-1), repeated(0.0, x)

    def inverse_and_log_det(self, z: Tensor, condition: Tensor | None = None, training: bool = False) -> Result:
        return ops.take(z, ops.argsort(ops.convert_to_tensor(self.order)), axis=-1), repeated(0.0, z)
