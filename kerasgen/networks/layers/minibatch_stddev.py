"""The spread of a batch as a further channel (Karras et al. 2018, "Progressive growing of GANs", section 3)."""

import keras
from keras import layers, ops

from kerasgen import backend
from kerasgen.typing import Any, Tensor


@keras.saving.register_keras_serializable("kerasgen")
class MinibatchStandardDeviation(layers.Layer):
    """`[B, H, W, C]` to `[B, H, W, C + 1]`: the standard deviation over the batch, its mean over all else.

    In training the batch is the global one of all replicas, otherwise the replica's own: penalties, which are not in
    training, may be computed in a branch of a graph, where replicas cannot meet.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.built = True

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        y = ops.cast(x, "float32")
        together = bool(training) and backend.SYNCHRONIZED
        mean, _ = ops.moments(y, axes=[0], synchronized=together)
        _, variance = ops.moments(y - mean, axes=[0], synchronized=together)
        spread = ops.cast(ops.mean(ops.sqrt(variance + 1e-8)), x.dtype)
        return ops.concatenate([x, ops.zeros_like(x[..., :1]) + spread], axis=-1)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (*input_shape[:-1], input_shape[-1] + 1)
