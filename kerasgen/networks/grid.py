"""A network of images or of videos, for vectors that hold one."""

from keras import layers, ops

from kerasgen.networks.build import Dtype, Network, Shape, Tensor
from kerasgen.networks.geometry import flatten


class Grid(Network):
    """`(x, time, one_hot)` to a vector like x, by a network that reads it as an image: latents that keep places.

    x `[B, k h w C]` holds k images one behind the other and is read as `[B, h, w, k C]`; `[B, h w C]` comes out. A
    video has t before h.

    Args:
        network: called as this one, from `[B, h, w, k C]` to `[B, h, w, C]`.
        shape: h, w and C; or t, h, w and C.
        parts: k.
    """

    def __init__(self, network: layers.Layer, shape: Shape, parts: int, name: str = "network", dtype: Dtype = None):
        super().__init__("network", name=name, dtype=dtype)
        self.network, self.shape, self.parts = network, shape, parts

    def call(self, x: Tensor, time: Tensor, one_hot: Tensor | None = None, training: bool = False) -> Tensor:
        num = ops.shape(x)[0]
        *sides, channels = self.shape
        if self.parts > 1:
            places = range(2, 2 + len(sides))
            x = ops.reshape(x, (num, self.parts, *sides, channels))
            x = ops.transpose(x, (0, *places, 1, 2 + len(sides)))
        x = ops.reshape(x, (num, *sides, self.parts * channels))
        return flatten(self.network(x, time, one_hot, training=training))
