"""Encoder and decoder of videos: a network for images on every frame, and a dense layer over what it gives of all.

So latents are of a whole video, and those drawn at random give frames that belong together.
"""

from keras import layers, ops

from kerasgen.networks.build import Dtype, Network, Shape, Tensor, dense


class FrameEncoder(Network):
    """Videos `[B, T, H, W, C]` to `[B, outputs]`.

    Args:
        frames: T.
        network: from frames `[B T, H, W, C]` to features `[B T, features]`.
    """

    def __init__(
        self,
        frames: int,
        outputs: int,
        network: layers.Layer,
        features: int,
        name: str = "encoder",
        dtype: Dtype = None,
    ):
        super().__init__("encoder", name=name, dtype=dtype)
        self.network = network
        self.out = dense(frames * features, outputs, "outputs", self.dtype_policy)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        batch, frames, *image = ops.shape(x)
        features = self.network(ops.reshape(x, (batch * frames, *image)), training=training)
        return self.out(ops.silu(ops.reshape(features, (batch, frames * features.shape[-1]))))


class FrameDecoder(Network):
    """Latents `[B, inputs]` to `[B, T, H, W, C]`, with no activation at the end: the way back of `FrameEncoder`."""

    def __init__(
        self,
        inputs: int,
        output_shape: Shape,
        network: layers.Layer,
        features: int,
        name: str = "decoder",
        dtype: Dtype = None,
    ):
        super().__init__("decoder", name=name, dtype=dtype)
        self.shape, self.features, self.network = tuple(output_shape), features, network
        self.dense = dense(inputs, output_shape[0] * features, "features", self.dtype_policy)

    def call(self, z: Tensor, training: bool = False) -> Tensor:
        batch = ops.shape(z)[0]
        features = ops.reshape(ops.silu(self.dense(z)), (batch * self.shape[0], self.features))
        return ops.reshape(self.network(features, training=training), (batch, *self.shape))
