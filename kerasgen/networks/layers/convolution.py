"""The convolution and the pooling that networks are built of."""

import keras
from keras import layers

from kerasgen import backend
from kerasgen.typing import Any, Tensor

LAST = "channels_last"  # named wherever Keras asks, whose default is what the user's keras.json says


@keras.saving.register_keras_serializable("kerasgen")
class Conv2D(layers.Conv2D):
    """As Keras' own, with the channels last whatever `keras.config.image_data_format` is, and for an empty batch too.

    It keeps the sides unless told otherwise.
    """

    def __init__(self, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "same", **kwargs: Any):
        super().__init__(filters, kernel_size, strides, padding, **{"data_format": LAST, **kwargs})

    def call(self, x: Tensor) -> Tensor:
        return backend.some_rows(super().call, x)


@keras.saving.register_keras_serializable("kerasgen")
class MaxPooling2D(layers.MaxPooling2D):
    """As Keras' own, likewise."""

    def __init__(self, pool_size: Any = 2, **kwargs: Any):
        super().__init__(pool_size, **{"data_format": LAST, **kwargs})

    def call(self, x: Tensor) -> Tensor:
        return backend.some_rows(super().call, x)
