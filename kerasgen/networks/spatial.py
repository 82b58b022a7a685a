"""Convolutional encoder and decoder whose latents keep places, as those of latent diffusion (Rombach et al. 2022).

Images of H x W become latents `[h, w, L]` of 1/2^levels of the sides, as vectors `[h w L]`, in the order of `Grid`. No
dense layer mixes places, and no normalization mixes examples or places.
"""

from keras import ops

from kerasgen import backend
from kerasgen.networks.build import Dtype, Network, Shape, Tensor, conv
from kerasgen.networks.geometry import channels_of, flatten, latent_shape


class Block(Network):
    """Two convolutions beside a shortcut; the second one starts at zero (Zhang et al. 2019, "Fixup")."""

    def __init__(self, channels: int, name: str, dtype: Dtype):
        super().__init__(name, dtype=dtype)
        self.conv_a = conv(channels, channels, 3, "conv_a", dtype)
        self.conv_b = conv(channels, channels, 3, "conv_b", dtype, kernel_initializer="zeros")

    def call(self, x: Tensor) -> Tensor:
        return x + self.conv_b(backend.silu(self.conv_a(backend.silu(x))))


class SpatialEncoder(Network):
    """Images `[B, H, W, C]` in [-1, 1] to latents `[B, h w L]`.

    Args:
        shape: of images.
        outputs: h w L.
        width: channels of the first level; they double from level to level, up to four times as many.
        levels: each halves the sides.
        blocks: residual blocks a level.
    """

    def __init__(
        self,
        shape: Shape,
        outputs: int,
        width: int,
        levels: int = 2,
        blocks: int = 1,
        name: str = "encoder",
        dtype: Dtype = None,
    ):
        super().__init__("encoder", name=name, dtype=dtype)
        dtype = self.dtype_policy
        *_, latents = latent_shape(shape, levels + 1, outputs, "spatial")
        channels, self.steps = shape[-1], []
        for level in range(levels):
            filters = channels_of(width, level, most=4)
            self.steps.append(conv(channels, filters, 4, f"down_{level}", dtype, strides=2))
            channels = filters
            self.steps += [Block(channels, f"block_{level}_{index}", dtype) for index in range(blocks)]
        self.out = conv(channels, latents, 3, "out", dtype)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        for layer in self.steps:
            x = layer(x)
        return flatten(self.out(backend.silu(x)))


class SpatialDecoder(Network):
    """Latents `[B, h w L]` to `[B, H, W, C]`, with no activation at the end: the way back of `SpatialEncoder`."""

    def __init__(
        self,
        inputs: int,
        output_shape: Shape,
        width: int,
        levels: int = 2,
        blocks: int = 1,
        name: str = "decoder",
        dtype: Dtype = None,
    ):
        super().__init__("decoder", name=name, dtype=dtype)
        dtype = self.dtype_policy
        self.latent_shape = latent_shape(output_shape, levels + 1, inputs, "spatial")
        channels = channels_of(width, levels - 1, most=4)
        self.stem = conv(self.latent_shape[-1], channels, 3, "stem", dtype)
        self.steps: list[Network] = []
        for level in reversed(range(levels)):
            self.steps += [Block(channels, f"block_{level}_{index}", dtype) for index in range(blocks)]
            filters = channels_of(width, level - 1, most=4) if level else max(width // 2, output_shape[-1])
            self.steps.append(conv(channels, filters, 3, f"up_{level}", dtype, resample="enlarge"))
            channels = filters
        self.out = conv(channels, output_shape[-1], 3, "out", dtype)

    def call(self, z: Tensor, training: bool = False) -> Tensor:
        x = self.stem(ops.reshape(z, (ops.shape(z)[0], *self.latent_shape)))
        for layer in self.steps:
            x = layer(x)
        return self.out(backend.silu(x))
