"""Squeeze: space to channels (Dinh et al. 2017, "Density estimation using Real NVP", section 3.6)."""

from kerasgen.errors import InputError
from kerasgen.flows.bijectors.base import Bijector, Result, Shape, Tensor, repeated
from kerasgen.networks.geometry import depth_to_space, space_to_depth


class Squeeze(Bijector):
    """`[B, H, W, C]` to `[B, H/2, W/2, 4C]`: each 2 x 2 block becomes channels. The log-determinant is 0."""

    def __init__(self, shape: Shape, name: str = "squeeze"):
        super().__init__(shape, name=name)
        if len(self.shape) != 3 or self.shape[0] % 2 or self.shape[1] % 2:
            raise InputError(
                f"shape {self.shape} cannot be squeezed: height and width must be even. Use fewer levels, or pad or "
                "resize the images."
            )
        height, width, channels = self.shape
        self.latent_shape = (height // 2, width // 2, 4 * channels)

    def forward_and_log_det(self, x: Tensor, condition: Tensor | None = None, training: bool = False) -> Result:
        return space_to_depth(x, 2), repeated(0.0, x)

    def inverse_and_log_det(self, z: Tensor, condition: Tensor | None = None, training: bool = False) -> Result:
        return depth_to_space(z, 2), repeated(0.0, z)
