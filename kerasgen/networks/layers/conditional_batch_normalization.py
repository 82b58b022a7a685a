"""Batch normalization with a scale and a shift for each class (Dumoulin et al. 2017; de Vries et al. 2017)."""

import keras
from keras import layers, ops

from kerasgen import backend
from kerasgen.typing import Any, Tensor

MOMENTUM = 0.9  # of moving means and variances


@keras.saving.register_keras_serializable("kerasgen")
class ConditionalBatchNormalization(layers.Layer):
    """`[B, ..., C]` to the same shape; without classes plain batch normalization.

    y = normalized(x) (1 + scale) + shift, with the scale and the shift of the image's class.

    Args:
        channels: C.
        num_classes: or `None`.
    """

    def __init__(self, channels: int, num_classes: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        plain = num_classes is None
        self.channels, self.num_classes = channels, num_classes
        self.norm = layers.BatchNormalization(
            momentum=MOMENTUM,
            epsilon=1e-5,
            center=plain,
            scale=plain,
            synchronized=backend.SYNCHRONIZED,  # over replicas
            name="norm",
            dtype=self.dtype_policy,
        )
        self.norm.build((None, channels))
        self.classes = None
        if not plain:
            self.classes = layers.Dense(
                2 * channels, use_bias=False, kernel_initializer="zeros", name="classes", dtype=self.dtype_policy
            )
            self.classes.build((None, num_classes))
        self.built = True

    def call(self, x: Tensor, one_hot: Tensor | None = None, training: bool = False) -> Tensor:
        shape = ops.shape(x)
        # As vectors: one program whatever the sides.
        y = ops.reshape(self.norm(ops.reshape(x, (-1, self.channels)), training=training), shape)
        if self.classes is None:
            return y
        both = ops.reshape(self.classes(one_hot), (-1, *[1] * (len(shape) - 2), 2 * self.channels))
        scale, shift = ops.split(both, 2, axis=-1)
        return y * (1.0 + scale) + shift
