"""The U-Net of diffusers' `UNet2DModel`: that of Ho et al. 2020, and of Nichol and Dhariwal 2021."""

import math

import numpy as np
from keras import ops

from kerasgen import inputs as checks
from kerasgen.errors import InputError
from kerasgen.networks.build import Network, Tensor, conv, dense
from kerasgen.networks.diffusers.blocks import Attention, Blocks, Enlarge, Halve, Middle, Residual, within
from kerasgen.networks.geometry import check_sides
from kerasgen.typing import Any, Sequence

DOWN = {"DownBlock2D": False, "AttnDownBlock2D": True}  # whether its residual blocks have attention behind them
UP = {"UpBlock2D": False, "AttnUpBlock2D": True}
TIME_SCALES = ("default", "scale_shift")


class DiffusersUNet(Network):
    """`(x, time, one_hot)` to an image like x: `[B, H, W, inputs]` to `[B, H, W, outputs]`, for any H and W that fit.

    Args:
        inputs, outputs: channels.
        num_classes: or `None`.
        num_train_timesteps: levels that the network was trained with: times reach it from 0 to 1000, and it reads those
            from 0 to this number.
        center_input_sample: whether x is taken from [0, 1] to [-1, 1] first.
        time_embedding_dim: features of the embedding; four times the first level's channels by default.
        flip_sin_to_cos, freq_shift: of the cosines and sines of the time.
        block_out_channels: channels of each level; each level after the first has half the sides.
        down_block_types, up_block_types: of each level, on the way down and up: see `DOWN` and `UP`.
        layers_per_block: residual blocks a level, on the way down; one more on the way up.
        mid_block: whether there are blocks in the middle.
        add_attention: whether the middle has attention.
        mid_block_scale_factor: by which sums in the middle are divided.
        downsample_padding: see `Halve`.
        attention_head_dim: channels of an attention head, or `None` for one head.
        norm_num_groups, norm_eps: of group normalization.
        attn_norm_num_groups: of the middle's attention; by default as elsewhere, or none with "scale_shift".
        resnet_time_scale_shift: "default", the embedding is added, or "scale_shift".
        dropout: rate in residual blocks.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        num_classes: int | None = None,
        num_train_timesteps: int = 1000,
        center_input_sample: bool = False,
        time_embedding_dim: int | None = None,
        flip_sin_to_cos: bool = True,
        freq_shift: float = 0.0,
        block_out_channels: Sequence[int] = (64, 128, 128),
        down_block_types: Sequence[str] = ("DownBlock2D", "DownBlock2D", "DownBlock2D"),
        up_block_types: Sequence[str] = ("UpBlock2D", "UpBlock2D", "UpBlock2D"),
        layers_per_block: int = 2,
        mid_block: bool = True,
        add_attention: bool = True,
        mid_block_scale_factor: float = 1.0,
        downsample_padding: int = 1,
        attention_head_dim: int | None = 8,
        norm_num_groups: int = 32,
        norm_eps: float = 1e-5,
        attn_norm_num_groups: int | None = None,
        resnet_time_scale_shift: str = "default",
        dropout: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__("network", **kwargs)
        dtype = self.dtype_policy
        for name, types, known in (("down", down_block_types, DOWN), ("up", up_block_types, UP)):
            if len(types) != len(block_out_channels) or not set(types) <= set(known):
                expected = f"one of {list(known)} for each of block_out_channels"
                raise InputError(f"{name}_block_types is {list(types)}; expected {expected}.")
        checks.check_choice("resnet_time_scale_shift", resnet_time_scale_shift, TIME_SCALES)
        self.num_levels, self.center_input_sample = len(block_out_channels), bool(center_input_sample)
        self.waves, self.flip_sin_to_cos, self.freq_shift = block_out_channels[0], bool(flip_sin_to_cos), freq_shift
        if self.waves // 2 <= freq_shift:
            raise InputError(f"freq_shift is {freq_shift}; expected less than half of {self.waves} channels.")
        self.time_scale = checks.check_integer("num_train_timesteps", num_train_timesteps, 1) / 1000.0
        embedding = time_embedding_dim or 4 * self.waves
        added = resnet_time_scale_shift == "default"
        blocks = Blocks(
            norm_num_groups,
            norm_eps,
            embedding,
            not added,
            attn_norm_num_groups or (norm_num_groups if added else None),
            mid_block_scale_factor,
            dropout,
            attention_head_dim,
            dtype,
        )
        self.conv_in = conv(inputs, self.waves, 3, "conv_in", dtype)
        with within("time_embedding"):
            self.linear_1 = dense(self.waves, embedding, "linear_1", dtype)
            self.linear_2 = dense(embedding, embedding, "linear_2", dtype)
        self.class_embedding = None
        if num_classes is not None:
            self.class_embedding = dense(num_classes, embedding, "class_embedding", dtype, use_bias=False)
        self.down, self.up = [], []  # (residual block, attention or None, resize or None), in order
        skips = [self.waves]
        channels = self.waves

        def block(inputs, filters, attention, path, index):
            residual = Residual(inputs, filters, blocks, f"{path}/resnets/{index}")
            path = f"{path}/attentions/{index}"
            return residual, Attention(filters, blocks, path, norm_num_groups) if attention else None

        for level, (filters, kind) in enumerate(zip(block_out_channels, down_block_types, strict=True)):
            path = f"down_blocks/{level}"
            for index in range(layers_per_block):
                self.down.append((*block(channels, filters, DOWN[kind], path, index), None))
                channels = filters
                skips.append(channels)
            if level + 1 < self.num_levels:
                resize = Halve(channels, downsample_padding, f"{path}/downsamplers/0/conv", dtype)
                self.down.append((None, None, resize))
                skips.append(channels)
        self.middle = Middle(channels, blocks, bool(add_attention), "mid_block") if mid_block else None
        for level, (filters, kind) in enumerate(zip(reversed(block_out_channels), up_block_types, strict=True)):
            path = f"up_blocks/{level}"
            for index in range(layers_per_block + 1):
                parts = block(channels + skips.pop(), filters, UP[kind], path, index)
                channels = filters
                last = index == layers_per_block and level + 1 < self.num_levels
                self.up.append((*parts, Enlarge(channels, f"{path}/upsamplers/0/conv", dtype) if last else None))
        self.conv_norm_out = blocks.norm(channels, "conv_norm_out")
        self.conv_out = conv(channels, outputs, 3, "conv_out", dtype)
        self.parts = [part for parts in (*self.down, *self.up) for part in parts if part is not None]

    def check_size(self, height: int, width: int) -> None:
        """Raises `InputError` for sides that the levels do not divide."""
        check_sides(height, width, 2 ** (self.num_levels - 1), "a U-Net")

    def embedding(self, time: Tensor, one_hot: Tensor | None) -> Tensor:
        """`[B, time_embedding_dim]`."""
        half = self.waves // 2
        frequencies = np.exp(-math.log(10_000.0) * np.arange(half) / (half - self.freq_shift)).astype(np.float32)
        angles = ops.cast(time, "float32")[:, None] * self.time_scale * ops.convert_to_tensor(frequencies)
        waves = [ops.sin(angles), ops.cos(angles)]
        waves = ops.concatenate(waves[::-1] if self.flip_sin_to_cos else waves, axis=-1)
        if self.waves % 2:
            waves = ops.pad(waves, ((0, 0), (0, 1)))
        embedding = self.linear_2(ops.silu(self.linear_1(waves)))
        if self.class_embedding is not None and one_hot is not None:
            embedding = embedding + self.class_embedding(one_hot)
        return embedding

    def call(self, x: Tensor, time: Tensor, one_hot: Tensor | None = None, training: bool = False) -> Tensor:
        embedding = self.embedding(time, one_hot)
        x = self.conv_in(2.0 * x - 1.0 if self.center_input_sample else x)
        skips = [x]
        for residual, attention, resize in self.down:
            x = resize(x) if residual is None else residual(x, embedding)
            x = x if attention is None else attention(x)
            skips.append(x)
        x = x if self.middle is None else self.middle(x, embedding)
        for residual, attention, resize in self.up:
            x = residual(ops.concatenate([x, skips.pop()], axis=-1), embedding)
            x = x if attention is None else attention(x)
            x = x if resize is None else resize(x)
        return self.conv_out(ops.silu(self.conv_norm_out(x)))
