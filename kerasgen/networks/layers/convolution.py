"""The convolution and the pooling that networks are built of."""

import keras
from keras import layers, ops

from kerasgen import backend
from kerasgen.errors import InputError
from kerasgen.typing import Any, Tensor

LAST = "channels_last"  # named wherever Keras asks, whose default is what the user's keras.json says


@keras.saving.register_keras_serializable("kerasgen")
class Conv2D(layers.Conv2D):
    """As Keras' own, with the channels last whatever `keras.config.image_data_format` is, and for an empty batch too.

    It keeps the sides unless told otherwise. With `resample` it also changes them, by one convolution of stride 2
    instead of one of stride 1 on the larger image, at 4 products for 9 of a kernel of 3 x 3:

    - "enlarge": the convolution of x with every pixel four times, `[B, H, W, C]` to `[B, 2H, 2W, filters]`; with
      `sides` of x cropped to these before. It is the transposed convolution with the kernel below, mirrored.
    - "halve": means over squares of 2 x 2 of the convolution of x, `[B, ceil(H / 2), ceil(W / 2), filters]`, at odd
      sides over what there is of them.

    Both kernels are K convolved with a square of ones (a mean: of 1/4): along a side, of K = (a, b, c) it is
    (a, a + b, b + c, c), since a repeated pixel, or one of two that are averaged, meets neighbouring weights.

    Raises:
        InputError: `resample` with an even kernel, strides, dilation, groups or without padding.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "same",
        resample: str | None = None,
        sides: tuple[int, ...] | None = None,
        **kwargs: Any,
    ):
        super().__init__(filters, kernel_size, strides, padding, **{"data_format": LAST, **kwargs})
        self.resample, self.sides = resample, None if sides is None else tuple(sides)
        plain = {*self.strides, *self.dilation_rate, self.groups} == {1} and padding == "same"
        if resample and (
            resample not in ("enlarge", "halve") or not plain or any(k % 2 == 0 for k in self.kernel_size)
        ):
            raise InputError(
                f"resample is {resample!r}; expected 'enlarge', 'halve' or None, and the first two with an odd kernel, "
                "padding='same', and no strides, dilation or groups."
            )

    def call(self, x: Tensor) -> Tensor:
        return backend.some_rows(super().call, x)

    def convolution_op(self, x: Tensor, kernel: Any) -> Tensor:
        """The convolution alone, of Keras' `call`."""
        if {*self.kernel_size} == {self.groups} == {1} and self.strides != (1, 1):
            # The same, since nothing is padded. oneDNN's gradient of it with strides writes beyond its memory where
            # channels are few (from 4, 8 or 12 to 16, sides of 64), and the process ends.
            rows, columns = self.strides
            return ops.conv(x[:, ::rows, ::columns], kernel, 1, "valid", data_format=LAST)
        height, width = x.shape[1:3]
        if self.resample == "enlarge" and self.sides in (None, (2 * (height or 0), 2 * (width or 0))):
            kernel = ops.transpose(ops.flip(_widened(kernel), (0, 1)), (0, 1, 3, 2))
            return backend.transposed_convolution(x, kernel)
        if self.resample == "enlarge":
            return super().convolution_op(enlarge(x, self.sides), kernel)
        if self.resample == "halve" and height and width and height % 2 == width % 2 == 0:
            return ops.conv(x, 0.25 * _widened(kernel), 2, "same", data_format=LAST)
        y = super().convolution_op(x, kernel)
        return halve(y) if self.resample == "halve" else y

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        batch, *sides, channels = super().compute_output_shape(input_shape)
        if self.resample == "enlarge":
            sides = self.sides or [side and 2 * side for side in sides]
        elif self.resample == "halve":
            sides = [side and -(-side // 2) for side in sides]
        return (batch, *sides, channels)

    def get_config(self) -> dict[str, Any]:
        own = {"resample": self.resample, "sides": self.sides} if self.resample else {}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("kerasgen")
class MaxPooling2D(layers.MaxPooling2D):
    """As Keras' own, likewise."""

    def __init__(self, pool_size: Any = 2, **kwargs: Any):
        super().__init__(pool_size, **{"data_format": LAST, **kwargs})

    def call(self, x: Tensor) -> Tensor:
        return backend.some_rows(super().call, x)


def enlarge(x: Tensor, sides: tuple[int, ...] | None = None) -> Tensor:
    """`[B, H, W, C]` with every pixel four times, `[B, 2H, 2W, C]`, cropped to `sides` if given."""
    b, h, w, c = ops.shape(x)
    x = ops.broadcast_to(ops.reshape(x, (b, h, 1, w, 1, c)), (b, h, 2, w, 2, c))
    x = ops.reshape(x, (b, 2 * h, 2 * w, c))
    return x if sides is None else x[:, : sides[0], : sides[1]]


def halve(x: Tensor) -> Tensor:
    """Means over squares of 2 x 2, at odd sides over what there is of them: `[B, ceil(H / 2), ceil(W / 2), C]`."""
    return backend.some_rows(lambda x: ops.average_pool(x, 2, 2, "same", data_format=LAST), x)


def _widened(kernel):
    """A kernel `[k, k, ...]` convolved with a square of ones, `[k + 1, k + 1, ...]`."""
    kernel = ops.convert_to_tensor(kernel)
    for axis in (0, 1):
        after, before = ([[0, 0]] * 4 for _ in range(2))
        after[axis], before[axis] = [0, 1], [1, 0]
        kernel = ops.pad(kernel, after) + ops.pad(kernel, before)
    return kernel
