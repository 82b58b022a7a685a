"""The spread of a batch as a further channel (Karras et al. 2018, "Progressive growing of GANs", section 3)."""

import keras
from keras import layers, ops

from kerasgen.typing import Any, Tensor


@keras.saving.register_keras_serializable("kerasgen")
class MinibatchStandardDeviation(layers.Layer):
    """`[B, H, W, C]` to `[B, H, W, C + 1]`: the standard deviation over the batch, its mean over all else."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.built = True

    def call(self, x: Tensor) -> Tensor:
        y = ops.cast(x, "float32")
        variance = ops.mean(ops.square(y - ops.mean(y, axis=0, keepdims=True)), axis=0)
        spread = ops.cast(ops.mean(ops.sqrt(variance + 1e-8)), x.dtype)
        return ops.concatenate([x, ops.zeros_like(x[..., :1]) + spread], axis=-1)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (*input_shape[:-1], input_shape[-1] + 1)
