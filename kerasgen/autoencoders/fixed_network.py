"""A network of dense layers and convolutions in whole numbers, the same on every machine (see `fixed_point`)."""

import math

import keras
import numpy as np
from keras import layers, ops

from kerasgen.autoencoders.fixed_point import BITS, check_exact, fixed, shifted, silu
from kerasgen.errors import InputError
from kerasgen.networks.layers.convolution import Conv2D
from kerasgen.typing import Any, Array, Callable

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0.0),
    "silu": silu,
}


class FixedNetwork:
    """The chain of layers of a `keras.Model`, from and to fixed-point numbers `[N, ...]`.

    Raises `InputError`: it has other layers than the networks "conv" and "dense" are made of.
    """

    def __init__(self, network: Any):
        chain = network.layers if isinstance(network, keras.Model) else [network]
        self.steps = [step for layer in chain if (step := _step_of(layer)) is not None]

    def __call__(self, x: Array) -> Array:
        for step in self.steps:
            x = step(x)
        return x


def _step_of(layer):
    if isinstance(layer, layers.InputLayer):
        return None
    if isinstance(layer, layers.Flatten):
        return lambda x: x.reshape(len(x), -1)
    if isinstance(layer, layers.Reshape):
        return lambda x: x.reshape(len(x), *layer.target_shape)
    activation = (
        ACTIVATIONS.get(keras.activations.serialize(layer.activation)) if hasattr(layer, "activation") else None
    )
    if activation is None or not isinstance(layer, (layers.Dense, Conv2D)):
        known = 'the networks "conv" and "dense" are computed so'
        raise InputError(f"{type(layer).__name__} {layer.name!r} has no arithmetic of whole numbers; {known}.")
    if getattr(layer, "quantization_mode", None) or getattr(layer, "lora_enabled", False):
        raise InputError(
            f"{layer.name!r} is quantized or has an adapter (LoRA); save and load the model before coding."
        )
    kernel = fixed(ops.convert_to_numpy(layer.kernel))
    bias = fixed(0.0 if layer.bias is None else ops.convert_to_numpy(layer.bias)) * 2.0**BITS
    weight = np.abs(kernel).reshape(-1, kernel.shape[-1]).sum(axis=0).max()
    if isinstance(layer, layers.Dense):
        apply = _product
    else:

        def apply(x, kernel):
            return _convolved(x, kernel, layer)

    def step(x):
        check_exact(np.abs(x).max() * weight + np.abs(bias).max())
        return activation(shifted(apply(x, kernel) + bias))

    return step


def _product(x, kernel):
    return x @ kernel


def _convolved(x, kernel, layer):
    """The convolution of a `Conv2D` with "same" padding, by a matrix product with all windows."""
    if layer.resample == "enlarge":
        x = x.repeat(2, axis=1).repeat(2, axis=2)
        height, width = layer.sides or x.shape[1:3]
        x = x[:, :height, :width]
    height, width, inputs, filters = kernel.shape
    sides = [math.ceil(side / stride) for side, stride in zip(x.shape[1:3], layer.strides, strict=True)]
    pads = []
    for side, out, size, stride in zip(x.shape[1:3], sides, (height, width), layer.strides, strict=True):
        total = max((out - 1) * stride + size - side, 0)
        pads.append((total // 2, total - total // 2))
    x = np.pad(x, ((0, 0), *pads, (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (height, width), axis=(1, 2))  # [N, h, w, C, kh, kw]
    windows = windows[:, :: layer.strides[0], :: layer.strides[1]]
    columns = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, height * width * inputs)
    return (columns @ kernel.reshape(-1, filters)).reshape(len(x), *sides, filters)
