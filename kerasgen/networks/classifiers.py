"""Classifiers up to their features: what stands before the last linear layer."""

import keras
from keras import layers

from kerasgen import backend
from kerasgen.networks.build import LAST, Dtype, Shape, float_input
from kerasgen.networks.layers.convolution import Conv2D, MaxPooling2D

MOMENTUM = 0.9  # of moving means and variances: with Keras' 0.99 a short training is judged on stale ones


def lenet(shape: Shape, width: int, name: str = "backbone", dtype: Dtype = None) -> keras.Model:
    """Images `[B, H, W, C]` to features `[B, 4 * width]`: two convolutions, each with pooling, and a dense layer.

    After LeCun et al. 1998, with rectifiers, 3 x 3 kernels and batch normalization.
    """
    x = inputs = float_input(shape, "images")
    for level in (1, 2):
        for part in ("a", "b"):
            x = _normed_conv(x, level * width, 3, 1, f"conv_{level}{part}", f"norm_{level}{part}", dtype)
            x = layers.ReLU(dtype=dtype, name=f"relu_{level}{part}")(x)
        x = MaxPooling2D(dtype=dtype, name=f"pool_{level}")(x)
    x = layers.Flatten(LAST, dtype=dtype, name="flatten")(x)
    x = layers.Dense(4 * width, activation="relu", dtype=dtype, name="features")(x)
    return keras.Model(inputs, x, name=name)


def resnet(shape: Shape, width: int, name: str = "backbone", dtype: Dtype = None) -> keras.Model:
    """Images `[B, H, W, C]` to features `[B, 4 * width]`: the mean over places of a residual network.

    Three stages of two blocks with `width`, 2 `width` and 4 `width` channels, each stage after the first at half the
    sides (He et al. 2016, section 4.2, with projection shortcuts). Sides above 40 are halved once more at the start.
    """

    def conv(x, filters, kernel, strides, name):
        return _normed_conv(x, filters, kernel, strides, name, f"{name}_norm", dtype)

    def relu(x, name):
        return layers.ReLU(dtype=dtype, name=f"{name}_relu")(x)

    x = inputs = float_input(shape, "images")
    x = relu(conv(x, width, 3, 2 if min(shape[:2]) > 40 else 1, "stem"), "stem")
    for stage in range(3):
        filters = width * 2**stage
        for block in range(2):
            at = f"stage_{stage}_block_{block}"
            strides = 2 if stage > 0 and block == 0 else 1
            y = relu(conv(x, filters, 3, strides, f"{at}_a"), f"{at}_a")
            y = conv(y, filters, 3, 1, f"{at}_b")
            if x.shape[-1] != filters:
                x = conv(x, filters, 1, strides, f"{at}_shortcut")
            x = relu(layers.Add(dtype=dtype, name=f"{at}_add")([x, y]), at)
    x = layers.GlobalAveragePooling2D(LAST, dtype=dtype, name="features")(x)
    return keras.Model(inputs, x, name=name)


def _normed_conv(x, filters, kernel, strides, name, norm_name, dtype):
    """A convolution and batch normalization, by the statistics of the global batch where there are replicas."""
    x = Conv2D(filters, kernel, strides, use_bias=False, dtype=dtype, name=name)(x)
    settings = {"synchronized": backend.SYNCHRONIZED, "dtype": dtype, "name": norm_name}
    return layers.BatchNormalization(momentum=MOMENTUM, **settings)(x)
