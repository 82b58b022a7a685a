"""The generator of DCGAN (Radford et al. 2016, figure 1), as in PyTorch's examples: transposed convolutions."""

import math

from keras import layers, ops

from kerasgen import backend
from kerasgen.errors import InputError
from kerasgen.networks.build import LAST, Network, Shape, Tensor, dense
from kerasgen.networks.diffusers.blocks import within
from kerasgen.typing import Any


class DCGANGenerator(Network):
    """z `[B, inputs]` to images in [-1, 1] of equal sides, a power of 2 from 8.

    A dense layer to 4 x 4 places, then twice the sides by each transposed convolution of 4 x 4; all but the last are
    normalized over the batch and rectified. The path of a variable names its tensor in PyTorch's example.

    Args:
        inputs: latents.
        output_shape: `(side, side, channels)`.
        num_classes: `None`; it has none.
        width: channels of the finest level, doubled from level to level.
    """

    def __init__(self, inputs: int, output_shape: Shape, num_classes: None = None, width: int = 64, **kwargs: Any):
        super().__init__("generator", **kwargs)
        dtype = self.dtype_policy
        height, side, channels = output_shape
        levels = int(math.log2(side)) - 2
        if num_classes is not None or height != side or levels < 1 or side != 4 * 2**levels:
            found = f"images of {height} x {side}" + ("" if num_classes is None else f" of {num_classes} classes")
            raise InputError(f"DCGAN is for square images of 8, 16, 32, ..., without classes, not {found}.")
        self.channels = width * 2 ** (levels - 1)
        with within("main"):
            self.stem = dense(inputs, 16 * self.channels, "0", dtype, use_bias=False)
            self.norms, self.convs = [], []
            filters = self.channels
            for level in range(levels):
                settings = {"momentum": 0.9, "epsilon": 1e-5, "synchronized": backend.SYNCHRONIZED}
                norm = layers.BatchNormalization(**settings, name=str(3 * level + 1), dtype=dtype)
                norm.build((None, None, None, filters))
                given = filters // 2 if level + 1 < levels else channels
                settings = {"padding": "same", "use_bias": False, "data_format": LAST}
                conv = layers.Conv2DTranspose(given, 4, 2, **settings, name=str(3 * level + 3), dtype=dtype)
                conv.build((None, None, None, filters))
                self.norms.append(norm)
                self.convs.append(conv)
                filters = given

    def call(self, z: Tensor, training: bool = False) -> Tensor:
        x = ops.reshape(self.stem(z), (-1, 4, 4, self.channels))
        for norm, conv in zip(self.norms, self.convs, strict=True):
            x = backend.some_rows(conv, ops.relu(norm(x)))
        return ops.tanh(x)
