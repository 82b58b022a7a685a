"""A residual network of dense layers, for diffusion of vectors."""

from keras import layers, ops

from kerasgen.networks.dit import dense, plain_norm
from kerasgen.networks.layers.conditioning import Conditioning


class Block(layers.Layer):
    """A dense network with one hidden layer, normed, scaled, shifted and gated by the embedding; gates start at 0."""

    def __init__(self, channels, name, dtype):
        super().__init__(name=name, dtype=dtype)
        self.modulation = dense(channels, 3 * channels, "modulation", dtype, zero=True)
        self.hidden = dense(channels, 2 * channels, "hidden", dtype, activation="silu")
        self.out = dense(2 * channels, channels, "out", dtype)
        self.built = True

    def call(self, x, embedding):
        shift, scale, gate = ops.split(self.modulation(ops.silu(embedding)), 3, axis=-1)
        return x + gate * self.out(self.hidden(plain_norm(x) * (1.0 + scale) + shift))


class MLP(layers.Layer):
    """`(x, time, one_hot)` to a vector like x: `[B, inputs]` to `[B, outputs]`.

    Args:
        inputs, outputs: features.
        num_classes: or `None`.
        width: of the hidden vectors.
        depth: blocks.
    """

    def __init__(self, inputs, outputs, num_classes=None, width=256, depth=4, name="network", dtype=None):
        super().__init__(name=name, dtype=dtype)
        dtype = self.dtype_policy
        self.conditioning = Conditioning(width, num_classes, name="conditioning", dtype=dtype)
        self.stem = dense(inputs, width, "stem", dtype)
        self.blocks = [Block(width, f"block_{index}", dtype) for index in range(depth)]
        self.out = dense(width, outputs, "out", dtype, zero=True)
        self.built = True

    def call(self, x, time, one_hot=None, training=False):
        embedding = self.conditioning(time, one_hot)
        x = self.stem(x)
        for block in self.blocks:
            x = block(x, embedding)
        return self.out(plain_norm(x))
