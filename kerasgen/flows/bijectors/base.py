"""`Bijector`: what every invertible layer has."""

import keras
from keras import ops

from kerasgen.modalities import Images, Vectors, modality_of
from kerasgen.networks.build import Shape
from kerasgen.typing import Any, Array as Array, Callable, Tensor as Tensor

ROWS = 64  # examples that pass at once while a flow is initialized
Result = tuple[Tensor, Tensor]  # values, and log |det| in nats, `[B]`


class Bijector(keras.layers.Layer):
    """An invertible map from data `x`, `[B, *shape]`, to `z`, `[B, *latent_shape]`, in float32.

    `shape` is `(height, width, channels)` for images or `(features,)` for vectors; every variable is made in the
    constructor. A bijector gives two methods, which undo each other:

    - `forward_and_log_det(x, condition=None, training=False)`: z, and log |det dz/dx| in nats, `[B]`;
    - `inverse_and_log_det(z, condition=None, training=False)`: x, and log |det dx/dz| in nats, `[B]`.

    `condition` is a tensor of leading axis B for those that are conditional, and `training` goes to their networks.
    """

    def __init__(self, shape: Shape, name: str | None = None):
        super().__init__(name=name, dtype="float32")
        self.shape = modality_of(shape, (Images, Vectors)).shape
        self.latent_shape: Any = self.shape
        self.built = True

    def __init_subclass__(cls, abstract: bool = False, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith(__package__) and not abstract:  # those of others are theirs to register
            keras.saving.register_keras_serializable("kerasgen")(cls)

    def forward_and_log_det(self, x: Tensor, condition: Tensor | None = None, training: bool = False) -> Result:
        raise NotImplementedError

    def inverse_and_log_det(self, z: Tensor, condition: Tensor | None = None, training: bool = False) -> Result:
        raise NotImplementedError

    @property
    def initialized(self) -> bool:
        """Whether data-dependent variables have their values; true for bijectors without any."""
        return True

    def initialize(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Sets data-dependent variables from examples, unless they are set; returns z.

        Whatever their number, `ROWS` of them pass at once through a layer, and then all through the next one.
        """
        return in_parts(lambda *part: self.forward_and_log_det(*part)[0], x, condition)


class ChannelMap(Bijector, abstract=True):
    """z = W x + b at every position; a run of them is one such map, and passes over the data once (`Invertible`)."""

    def affine(self) -> tuple[Tensor, Tensor]:
        """W `[C, C]` and b `[C]`."""
        raise NotImplementedError

    def inverse_affine(self) -> tuple[Tensor, Tensor]:
        """W^-1 and -W^-1 b, of x = W^-1 z - W^-1 b."""
        raise NotImplementedError

    def log_det(self) -> Tensor:
        """log |det W| times the number of positions, in nats, a scalar."""
        raise NotImplementedError

    def forward_and_log_det(self, x: Tensor, condition: Tensor | None = None, training: bool = False) -> Result:
        return apply_affine([self.affine()], x), repeated(self.log_det(), x)

    def inverse_and_log_det(self, z: Tensor, condition: Tensor | None = None, training: bool = False) -> Result:
        return apply_affine([self.inverse_affine()], z), repeated(-self.log_det(), z)


def apply_affine(maps: list[tuple[Tensor, Tensor]], x: Tensor) -> Tensor:
    """x `[..., C]` through maps (W, b), the first one first: one matrix product over the data."""
    (weight, bias), *others = maps
    for w, b in others:
        weight, bias = ops.matmul(w, weight), ops.matmul(w, bias) + b
    flat = ops.reshape(x, (-1, x.shape[-1]))
    return ops.reshape(ops.matmul(flat, ops.transpose(weight)) + bias, (-1, *x.shape[1:]))


class DataDependentBijector(Bijector, abstract=True):
    """A bijector with variables that `initialize` sets from the first examples it gets, once.

    Whether that was done is part of the weights, so that it is never done again after loading: a subclass makes the
    last of its variables by `self._initialized = self.make_flag()`. It sets the others in `set_from(x)`.
    """

    def make_flag(self) -> keras.Variable:
        return self.add_weight(shape=(), initializer="zeros", dtype="int32", trainable=False, name="initialized")

    def set_from(self, x: Array) -> None:
        raise NotImplementedError

    @property
    def initialized(self) -> bool:
        return bool(ops.convert_to_numpy(self._initialized))

    def initialize(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        if not self.initialized:
            self.set_from(ops.convert_to_numpy(x))
            self._initialized.assign(1)
        return super().initialize(ops.convert_to_tensor(x))


def in_parts(function: Callable, *tensors: Tensor | None) -> Any:
    """`function(*tensors)`, one or several tensors of leading axis B like those given, of `ROWS` rows at a time.

    Without gradients, so that what was computed on the way is let go.
    """
    parts = []
    for start in range(0, len(tensors[0]), ROWS):
        part = function(*(None if x is None else x[start : start + ROWS] for x in tensors))
        parts.append(keras.tree.map_structure(ops.stop_gradient, part))
    return keras.tree.map_structure(lambda *values: ops.concatenate(values), *parts)


def repeated(log_det: Tensor | float, x: Tensor) -> Tensor:
    """A log-determinant that is the same for every example, `[B]`."""
    return ops.broadcast_to(ops.cast(log_det, "float32"), (ops.shape(x)[0],))


def positions(shape: Shape) -> int:
    """Over how many positions a map of the channels is repeated: height x width, or 1 for vectors."""
    return shape[0] * shape[1] if len(shape) == 3 else 1
