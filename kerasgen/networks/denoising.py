"""A U-Net that estimates noise, given its level; with no normalization, so that it scales with what it reads."""

import itertools

from keras import ops

from kerasgen.networks.build import Dtype, Network, Shape, Tensor, conv
from kerasgen.networks.geometry import check_sides, depth_to_space, space_to_depth
from kerasgen.networks.spatial import Block


class DenoisingUNet(Network):
    """Images `[B, H, W, C]`, of sides that `factor` divides, and a map of levels `[B, H, W, 1]` to the noise in them.

    It works on squares of `patch` x `patch` pixels as channels, as FFDNet does (Zhang et al. 2018), by residual blocks
    on several scales with what was on the way down added on the way up, as DRUNet does (Zhang et al. 2021).

    Args:
        channels: C.
        width: channels of the first scale.
        multipliers: channels of each scale, as multiples of `width`.
        blocks: residual blocks a scale and way.
        patch: side of the squares.
    """

    def __init__(
        self,
        channels: int,
        width: int = 48,
        multipliers: Shape = (1, 2, 3),
        blocks: int = 2,
        patch: int = 2,
        name: str = "network",
        dtype: Dtype = None,
    ):
        super().__init__(name, dtype=dtype)
        dtype = self.dtype_policy
        self.patch, self.factor = patch, patch * 2 ** (len(multipliers) - 1)
        widths = [width * multiplier for multiplier in multipliers]
        self.stem = conv((channels + 1) * patch**2, width, 3, "stem", dtype)
        scales = list(enumerate(itertools.pairwise(widths)))
        self.halve = [conv(a, b, 2, f"halve_{i}", dtype, strides=2) for i, (a, b) in scales]
        self.enlarge = [conv(b, a, 3, f"enlarge_{i}", dtype, resample="enlarge") for i, (a, b) in scales]
        self.down, self.up = (
            [Block(a, f"{way}_{i}_{j}", dtype) for i, (a, _) in scales for j in range(blocks)] for way in ("down", "up")
        )
        self.middle = [Block(widths[-1], f"middle_{j}", dtype) for j in range(blocks)]
        self.out = conv(width, channels * patch**2, 3, "out", dtype)

    def check_size(self, height: int, width: int) -> None:
        """Raises `InputError` for sides that the scales do not divide."""
        check_sides(height, width, self.factor, "DenoisingUNet")

    def call(self, inputs: list[Tensor], training: bool = False) -> Tensor:
        x = ops.concatenate([ops.cast(part, self.compute_dtype) for part in inputs], axis=-1)
        x, kept, num = self.stem(space_to_depth(x, self.patch)), [], len(self.middle)
        for scale, halve in enumerate(self.halve):
            x = self.through(self.down[num * scale :][:num], x)
            kept.append(x)
            x = halve(x)
        x = self.through(self.middle, x)
        for scale in reversed(range(len(self.enlarge))):
            x = self.through(self.up[num * scale :][:num], self.enlarge[scale](x) + kept[scale])
        return depth_to_space(self.out(x), self.patch)

    def through(self, blocks: list[Block], x: Tensor) -> Tensor:
        for block in blocks:
            x = block(x)
        return x
