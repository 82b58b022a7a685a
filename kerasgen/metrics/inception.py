"""The Inception network of 2015-12-05, in whose features a Fréchet distance is called FID (Heusel et al. 2017).

It is Inception v3 (Szegedy et al. 2016) as TensorFlow released it: average pools do not count the padding, the last
block pools by maximum, and images are resized without aligning pixel centres. The weights are those that the PyTorch
ports use; their file is read without running any of it, and batch normalization is folded into the convolutions.
"""

import keras
import numpy as np
from keras import layers, ops

from kerasgen.typing import Array, Tensor

SIDE = 299
NUM_FEATURES = 2048
NUM_CLASSES = 1008
EPSILON = 1e-3  # of batch normalization

# Convolutions are (name, filters, kernel); a branch is a sequence of them, and a tuple in it forks.
STEM = (
    *(
        ("Conv2d_1a_3x3", 32, 3, 2, "valid"),
        ("Conv2d_2a_3x3", 32, 3, 1, "valid"),
        ("Conv2d_2b_3x3", 64, 3),
        "MaxPool_1",
    ),
    *(("Conv2d_3b_1x1", 80, 1, 1, "valid"), ("Conv2d_4a_3x3", 192, 3, 1, "valid"), "MaxPool_2"),
)


def _chain(name, *parts):
    """`(name_1, filters, kernel), (name_2, ...)` from (filters, kernel) pairs."""
    return [(f"{name}_{index}", *part) for index, part in enumerate(parts, 1)]


def _block_a(pool):
    return [
        [("branch1x1", 64, 1)],
        _chain("branch5x5", (48, 1), (64, 5)),
        _chain("branch3x3dbl", (64, 1), (96, 3), (96, 3)),
        ["average", ("branch_pool", pool, 1)],
    ]


def _block_c(width):
    across, down = (1, 7), (7, 1)
    return [
        [("branch1x1", 192, 1)],
        _chain("branch7x7", (width, 1), (width, across), (192, down)),
        _chain("branch7x7dbl", (width, 1), (width, down), (width, across), (width, down), (192, across)),
        ["average", ("branch_pool", 192, 1)],
    ]


def _block_e(pool):
    def fork(name):
        return ((f"{name}a", 384, (1, 3)), (f"{name}b", 384, (3, 1)))

    return [
        [("branch1x1", 320, 1)],
        [("branch3x3_1", 384, 1), fork("branch3x3_2")],
        [*_chain("branch3x3dbl", (448, 1), (384, 3)), fork("branch3x3dbl_3")],
        [pool, ("branch_pool", 192, 1)],
    ]


# Those named "reduce" end in a convolution of stride 2 without padding.
BLOCKS = {
    "Mixed_5b": _block_a(32),
    "Mixed_5c": _block_a(64),
    "Mixed_5d": _block_a(64),
    "Mixed_6a": [[("branch3x3", 384, 3)], _chain("branch3x3dbl", (64, 1), (96, 3), (96, 3)), ["maximum"]],
    "Mixed_6b": _block_c(128),
    "Mixed_6c": _block_c(160),
    "Mixed_6d": _block_c(160),
    "Mixed_6e": _block_c(192),
    "Mixed_7a": [
        _chain("branch3x3", (192, 1), (320, 3)),
        _chain("branch7x7x3", (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3)),
        ["maximum"],
    ],
    "Mixed_7b": _block_e("average"),
    "Mixed_7c": _block_e("maximum"),
}
REDUCING = ("Mixed_6a", "Mixed_7a")
SAID = {"data_format": "channels_last", "dtype": "float32"}  # whatever Keras' settings are


def _conv(x, name, filters, kernel, strides=1, padding="same"):
    return layers.Conv2D(filters, kernel, strides, padding, activation="relu", name=name, **SAID)(x)


def _branch(x, block, parts):
    for part in parts:
        strides, padding = (2, "valid") if block in REDUCING and part is parts[-1] else (1, "same")
        if part == "average":
            x = layers.AveragePooling2D(3, 1, "same", name=f"{block}-average", **SAID)(x)
        elif part == "maximum":
            x = layers.MaxPooling2D(3, strides, padding, name=f"{block}-maximum", **SAID)(x)
        elif isinstance(part[0], tuple):
            forks = [_conv(x, f"{block}-{name}", filters, kernel) for name, filters, kernel in part]
            x = layers.Concatenate(name=f"{block}-{part[0][0][:-1]}", dtype="float32")(forks)
        else:
            name, filters, kernel = part
            x = _conv(x, f"{block}-{name}", filters, kernel, strides, padding)
    return x


def inception_network() -> keras.Model:
    """A Keras model from images `[B, 299, 299, 3]` in [-1, 1) to features `[B, 2048]` and logits `[B, 1008]`.

    The logits have no bias, as the Inception score of TensorFlow's original has none.
    """
    x = inputs = keras.Input((SIDE, SIDE, 3), name="images", dtype="float32")
    for part in STEM:
        x = layers.MaxPooling2D(3, 2, name=part, **SAID)(x) if isinstance(part, str) else _conv(x, *part)
    for block, branches in BLOCKS.items():
        x = layers.Concatenate(name=block, dtype="float32")([_branch(x, block, parts) for parts in branches])
    features = layers.GlobalAveragePooling2D(name="AvgPool", **SAID)(x)
    logits = layers.Dense(NUM_CLASSES, use_bias=False, name="fc", dtype="float32")(features)
    return keras.Model(inputs, [features, logits], name="inception_2015")


def resize_matrix(side: int) -> Array:
    """The bilinear resizing `[299, side]` of TensorFlow 1: pixel i of the result is read at i * side / 299."""
    places = np.arange(SIDE) * (side / SIDE)
    low = np.floor(places).astype(int)
    high = np.minimum(low + 1, side - 1)
    matrix = np.zeros((SIDE, side), np.float32)
    matrix[np.arange(SIDE), low] += 1.0 - (places - low)
    matrix[np.arange(SIDE), high] += places - low
    return matrix


def resize(images: Tensor) -> Tensor:
    """Images `[B, H, W, 1 or 3]`, uint8 or float in [0, 1], to `[B, 299, 299, 3]` in [-1, 1)."""
    scale = 1.0 if keras.backend.standardize_dtype(images.dtype) == "uint8" else 255.0
    x = ops.cast(images, "float32") * scale
    x = ops.einsum("ph,bhwc->bpwc", resize_matrix(x.shape[1]), x)
    x = ops.einsum("qw,bpwc->bpqc", resize_matrix(x.shape[2]), x)
    return (ops.repeat(x, 3, axis=-1) if x.shape[-1] == 1 else x) / 128.0 - 1.0


def convert(state: dict[str, Array]) -> dict[str, list[Array]]:
    """`{layer name: arrays for set_weights}` from the tensors of the PyTorch ports, `{name: array}`.

    Raises `KeyError`: a tensor is missing.
    """
    weights = {"fc": [state["fc.weight"].T]}
    for name in (key.removesuffix(".conv.weight") for key in state if key.endswith(".conv.weight")):
        scale = state[f"{name}.bn.weight"] / np.sqrt(state[f"{name}.bn.running_var"] + EPSILON)
        kernel = state[f"{name}.conv.weight"].transpose(2, 3, 1, 0) * scale
        weights[name.replace(".", "-")] = [kernel, state[f"{name}.bn.bias"] - state[f"{name}.bn.running_mean"] * scale]
    return weights
