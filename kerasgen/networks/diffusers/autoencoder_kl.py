"""Encoder and decoder of diffusers' `AutoencoderKL`: those of Stable Diffusion (Rombach et al. 2022, appendix G).

Latents are images `[h, w, L]` of 1/2^k of the sides, here as vectors `[h w L]`, and brought to about unit variance as
latent diffusion wants them: (z - shift_factor) scaling_factor.
"""

import math

from keras import ops

from kerasgen.networks.build import Dtype, Network, Shape, Tensor, conv
from kerasgen.networks.diffusers.blocks import Blocks, Enlarge, Halve, Middle, Residual, within
from kerasgen.networks.geometry import flatten, latent_shape
from kerasgen.typing import Sequence


class KLEncoder(Network):
    """Images `[B, H, W, C]` in [-1, 1] to mean and log-variance `[B, 2 h w L]`.

    Args:
        shape: of images.
        outputs: 2 h w L.
        width: is not used.
        block_out_channels: channels of each level; each level after the first has half the sides.
        layers_per_block: residual blocks a level.
        norm_num_groups: of group normalization.
        mid_block_add_attention: whether the middle has attention.
        use_quant_conv: whether a 1 x 1 convolution comes last.
        scaling_factor, shift_factor: of latents.
    """

    def __init__(
        self,
        shape: Shape,
        outputs: int,
        width: int,
        block_out_channels: Sequence[int] = (64,),
        layers_per_block: int = 1,
        norm_num_groups: int = 32,
        mid_block_add_attention: bool = True,
        use_quant_conv: bool = True,
        scaling_factor: float = 0.18215,
        shift_factor: float = 0.0,
        name: str = "encoder",
        dtype: Dtype = None,
    ):
        super().__init__("encoder", name=name, dtype=dtype)
        dtype = self.dtype_policy
        self.scaling_factor, self.shift_factor = scaling_factor, shift_factor
        *_, self.latents = latent_shape(shape, len(block_out_channels), outputs // 2, "AutoencoderKL")
        blocks = Blocks(norm_num_groups, attention_groups=norm_num_groups, dtype=dtype)
        with within("encoder"):
            channels = block_out_channels[0]
            self.conv_in = conv(shape[-1], channels, 3, "conv_in", dtype)
            self.down = []
            for level, filters in enumerate(block_out_channels):
                for index in range(layers_per_block):
                    self.down.append(Residual(channels, filters, blocks, f"down_blocks/{level}/resnets/{index}"))
                    channels = filters
                if level + 1 < len(block_out_channels):
                    self.down.append(Halve(channels, 0, f"down_blocks/{level}/downsamplers/0/conv", dtype))
            self.middle = Middle(channels, blocks, bool(mid_block_add_attention), "mid_block")
            self.conv_norm_out = blocks.norm(channels, "conv_norm_out")
            self.conv_out = conv(channels, 2 * self.latents, 3, "conv_out", dtype)
        self.quant_conv = None
        if use_quant_conv:
            self.quant_conv = conv(2 * self.latents, 2 * self.latents, 1, "quant_conv", dtype)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        x = self.conv_in(x)
        for layer in self.down:
            x = layer(x)
        x = self.conv_out(ops.silu(self.conv_norm_out(self.middle(x))))
        x = ops.cast(x if self.quant_conv is None else self.quant_conv(x), "float32")
        mean, log_variance = ops.split(x, 2, axis=-1)
        mean = (mean - self.shift_factor) * self.scaling_factor
        log_variance = log_variance + 2.0 * math.log(self.scaling_factor)
        return ops.concatenate([flatten(mean), flatten(log_variance)], axis=-1)


class KLDecoder(Network):
    """Latents `[B, h w L]` to images `[B, H, W, C]` in [0, 1], but for what overshoots.

    Args:
        inputs: h w L.
        output_shape: of images.
        others: as those of `KLEncoder`, with one residual block more a level.
    """

    def __init__(
        self,
        inputs: int,
        output_shape: Shape,
        width: int,
        block_out_channels: Sequence[int] = (64,),
        layers_per_block: int = 1,
        norm_num_groups: int = 32,
        mid_block_add_attention: bool = True,
        use_post_quant_conv: bool = True,
        scaling_factor: float = 0.18215,
        shift_factor: float = 0.0,
        name: str = "decoder",
        dtype: Dtype = None,
    ):
        super().__init__("decoder", name=name, dtype=dtype)
        dtype = self.dtype_policy
        self.scaling_factor, self.shift_factor = scaling_factor, shift_factor
        self.latent_shape = latent_shape(output_shape, len(block_out_channels), inputs, "AutoencoderKL")
        latents, channels = self.latent_shape[-1], block_out_channels[-1]
        blocks = Blocks(norm_num_groups, attention_groups=norm_num_groups, dtype=dtype)
        self.post_quant_conv = conv(latents, latents, 1, "post_quant_conv", dtype) if use_post_quant_conv else None
        with within("decoder"):
            self.conv_in = conv(latents, channels, 3, "conv_in", dtype)
            self.middle = Middle(channels, blocks, bool(mid_block_add_attention), "mid_block")
            self.up = []
            for level, filters in enumerate(reversed(block_out_channels)):
                for index in range(layers_per_block + 1):
                    self.up.append(Residual(channels, filters, blocks, f"up_blocks/{level}/resnets/{index}"))
                    channels = filters
                if level + 1 < len(block_out_channels):
                    self.up.append(Enlarge(channels, f"up_blocks/{level}/upsamplers/0/conv", dtype))
            self.conv_norm_out = blocks.norm(channels, "conv_norm_out")
            self.conv_out = conv(channels, output_shape[-1], 3, "conv_out", dtype)

    def call(self, z: Tensor, training: bool = False) -> Tensor:
        x = ops.reshape(z, (-1, *self.latent_shape)) / self.scaling_factor + self.shift_factor
        x = self.middle(self.conv_in(x if self.post_quant_conv is None else self.post_quant_conv(x)))
        for layer in self.up:
            x = layer(x)
        x = self.conv_out(ops.silu(self.conv_norm_out(x)))
        return 0.5 * (ops.cast(x, "float32") + 1.0)
