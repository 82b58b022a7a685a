"""Encoder and decoder of diffusers' `AutoencoderTiny`: TAESD, a small autoencoder of Stable Diffusion's latents.

Latents as those of `AutoencoderKL` (autoencoder_kl.py).
"""

from keras import ops

from kerasgen.networks.build import Dtype, Network, Shape, Tensor, conv
from kerasgen.networks.diffusers.blocks import Enlarge, Halve, within
from kerasgen.networks.geometry import flatten, latent_shape
from kerasgen.typing import Any, Sequence

LEAST = 1e-6  # of pixels as they go into a logit


class TinyBlock(Network):
    """Three 3 x 3 convolutions beside a shortcut, all rectified."""

    def __init__(self, channels: int, path: str, dtype: Dtype):
        super().__init__(path.replace("/", "_"), dtype=dtype)
        with within(f"{path}/conv"):
            self.convs = [conv(channels, channels, 3, str(index), dtype) for index in (0, 2, 4)]

    def call(self, x: Tensor) -> Tensor:
        first, second, third = self.convs
        return ops.relu(x + third(ops.relu(second(ops.relu(first(x))))))


class TinyEncoder(Network):
    """Images `[B, H, W, C]` in [-1, 1] to latents `[B, h w L]`.

    Args:
        shape: of images.
        outputs: h w L.
        width: channels of all levels.
        num_blocks: of each level; each level after the first has half the sides.
        scaling_factor, shift_factor: of latents.
    """

    def __init__(
        self,
        shape: Shape,
        outputs: int,
        width: int,
        num_blocks: Sequence[int] = (1, 3, 3, 3),
        scaling_factor: float = 1.0,
        shift_factor: float = 0.0,
        name: str = "encoder",
        dtype: Dtype = None,
    ):
        super().__init__("encoder", name=name, dtype=dtype)
        dtype = self.dtype_policy
        self.scaling_factor, self.shift_factor = scaling_factor, shift_factor
        *_, latents = latent_shape(shape, len(num_blocks), outputs, "AutoencoderTiny")
        self.steps: list[Any] = []
        with within("encoder/layers"):
            for level, blocks in enumerate(num_blocks):
                path = str(len(self.steps))
                first = level == 0
                self.steps.append(
                    conv(shape[-1], width, 3, path, dtype) if first else Halve(width, 1, path, dtype, use_bias=False)
                )
                for _ in range(blocks):
                    self.steps.append(TinyBlock(width, str(len(self.steps)), dtype))
            self.steps.append(conv(width, latents, 3, str(len(self.steps)), dtype))

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        x = 0.5 * (x + 1.0)
        for layer in self.steps:
            x = layer(x)
        return (flatten(ops.cast(x, "float32")) - self.shift_factor) * self.scaling_factor


class TinyDecoder(Network):
    """Latents `[B, h w L]` to logits of images, `[B, H, W, C]`: pixels come out in [0, 1], and the model has a sigmoid.

    Args:
        inputs: h w L.
        output_shape: of images.
        width, num_blocks, scaling_factor, shift_factor: as those of `TinyEncoder`, the coarsest level first.
    """

    def __init__(
        self,
        inputs: int,
        output_shape: Shape,
        width: int,
        num_blocks: Sequence[int] = (3, 3, 3, 1),
        scaling_factor: float = 1.0,
        shift_factor: float = 0.0,
        name: str = "decoder",
        dtype: Dtype = None,
    ):
        super().__init__("decoder", name=name, dtype=dtype)
        dtype = self.dtype_policy
        self.scaling_factor, self.shift_factor = scaling_factor, shift_factor
        self.latent_shape = latent_shape(output_shape, len(num_blocks), inputs, "AutoencoderTiny")
        self.steps: list[Any] = []
        with within("decoder/layers"):
            self.conv_in = conv(self.latent_shape[-1], width, 3, "0", dtype)
            place = 2  # behind a rectifier
            for level, blocks in enumerate(num_blocks):
                for _ in range(blocks):
                    self.steps.append(TinyBlock(width, str(place), dtype))
                    place += 1
                if level + 1 < len(num_blocks):
                    place += 1  # behind an enlargement
                    self.steps.append(Enlarge(width, str(place), dtype, use_bias=False))
                    place += 1
            self.conv_out = conv(width, output_shape[-1], 3, str(place), dtype)

    def call(self, z: Tensor, training: bool = False) -> Tensor:
        x = ops.reshape(z, (-1, *self.latent_shape)) / self.scaling_factor + self.shift_factor
        x = ops.relu(self.conv_in(3.0 * ops.tanh(x / 3.0)))
        for layer in self.steps:
            x = layer(x)
        pixels = ops.clip(ops.cast(self.conv_out(x), "float32"), LEAST, 1.0 - LEAST)
        return ops.log(pixels) - ops.log1p(-pixels)
