"""Spectral normalization (Miyato et al. 2018, "Spectral normalization for generative adversarial networks")."""

import keras
from keras import layers, ops

from kerasgen.errors import InputError
from kerasgen.typing import Any, Tensor


def unit(x: Tensor) -> Tensor:
    """x over its length."""
    return x * ops.rsqrt(ops.sum(ops.square(x)) + 1e-12)


class SpectralNormalization(layers.Layer):
    """A dense layer or a convolution, divided by the largest singular value of its kernel, plus a bias.

    The kernel is seen as a matrix W of shape (everything else, outputs). Each call in training takes one step of power
    iteration (algorithm 1), u <- W^T v / |W^T v| with v = W u / |W u|; sigma = v^T W u, through which gradients flow
    with u and v held constant (equation 12). u is a variable and so part of the checkpoint.

    Args:
        layer: a built `Dense` or `Conv2D` without bias and activation.
        bias: whether to add one.
    """

    def __init__(self, layer: layers.Layer, bias: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        if getattr(layer, "kernel", None) is None or layer.use_bias or layer.activation is not keras.activations.linear:
            raise InputError(f"{layer.name} must be a built layer with a kernel, without bias and activation.")
        self.layer = layer
        outputs = layer.kernel.shape[-1]
        self.u = self.add_weight(shape=(outputs,), initializer="random_normal", trainable=False, name="u")
        self.bias = self.add_weight(shape=(outputs,), initializer="zeros", name="bias") if bias else None
        self.built = True

    def sigma(self, training: bool = False) -> Tensor:
        """The estimate of the largest singular value."""
        kernel = ops.cast(ops.convert_to_tensor(self.layer.kernel), "float32")
        matrix = ops.reshape(kernel, (-1, kernel.shape[-1]))
        u = ops.cast(ops.convert_to_tensor(self.u), "float32")
        held = ops.stop_gradient(matrix)
        v = unit(ops.sum(held * u, axis=1))
        if training:
            u = unit(ops.sum(held * v[:, None], axis=0))
            self.u.assign(u)
        return ops.sum(matrix * v[:, None] * unit(u))

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        y = self.layer(x)
        y = y / ops.cast(self.sigma(training), y.dtype)
        return y if self.bias is None else y + ops.cast(self.bias, y.dtype)
