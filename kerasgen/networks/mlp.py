"""A residual network of dense layers, for diffusion of vectors."""

from keras import ops

from kerasgen.networks.build import Dtype, Network, Tensor, dense, plain_norm
from kerasgen.networks.layers.conditioning import Conditioning
from kerasgen.typing import Any


class Block(Network):
    """A dense network with one hidden layer, normed, scaled, shifted and gated by the embedding; gates start at 0."""

    def __init__(self, channels: int, name: str, dtype: Dtype):
        super().__init__(name, dtype=dtype)
        self.modulation = dense(channels, 3 * channels, "modulation", dtype, kernel_initializer="zeros")
        self.hidden = dense(channels, 2 * channels, "hidden", dtype, activation="silu")
        self.out = dense(2 * channels, channels, "out", dtype)

    def call(self, x: Tensor, embedding: Tensor) -> Tensor:
        shift, scale, gate = ops.split(self.modulation(ops.silu(embedding)), 3, axis=-1)
        return x + gate * self.out(self.hidden(plain_norm(x) * (1.0 + scale) + shift))


class MLP(Network):
    """`(x, time, one_hot)` to a vector like x: `[B, inputs]` to `[B, outputs]`.

    Args:
        inputs, outputs: features.
        num_classes: or `None`.
        width: of the hidden vectors.
        depth: blocks.
    """

    def __init__(
        self, inputs: int, outputs: int, num_classes: int | None = None, width: int = 256, depth: int = 4, **kwargs: Any
    ):
        super().__init__("network", **kwargs)
        dtype = self.dtype_policy
        self.conditioning = Conditioning(width, num_classes, name="conditioning", dtype=dtype)
        self.stem = dense(inputs, width, "stem", dtype)
        self.blocks = [Block(width, f"block_{index}", dtype) for index in range(depth)]
        self.out = dense(width, outputs, "out", dtype, kernel_initializer="zeros")

    def call(self, x: Tensor, time: Tensor, one_hot: Tensor | None = None, training: bool = False) -> Tensor:
        embedding = self.conditioning(time, one_hot)
        x = self.stem(x)
        for block in self.blocks:
            x = block(x, embedding)
        return self.out(plain_norm(x))
