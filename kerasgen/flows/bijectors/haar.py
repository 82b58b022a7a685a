"""Haar wavelets: averages and details of 2 x 2 blocks (Yu et al. 2020, "Wavelet flow", section 3.2)."""

import math

import numpy as np
from keras import ops

from kerasgen.flows.bijectors.base import Result, Shape, Tensor, repeated
from kerasgen.flows.bijectors.squeeze import Squeeze

# Rows: the average, and the horizontal, vertical and diagonal differences, of a block (a, b; c, d) as (a, b, c, d).
# The rows are orthogonal; the first has length 1/2, the others 1, so |det| is 1/2.
HAAR = np.array([[0.5, 0.5, 0.5, 0.5], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]], np.float32) / 2.0


class Haar(Squeeze):
    """`[B, H, W, C]` to `[B, H/2, W/2, 4C]`: the C averages of each 2 x 2 block, then 3C differences.

    The averages are the image at half the size, on the same scale. log |det dz/dx| = -log 2 for each block and channel.
    """

    def __init__(self, shape: Shape, name: str = "haar"):
        super().__init__(shape, name=name)

    def _log_det(self):
        return -math.log(2.0) * math.prod(self.latent_shape) / 4.0

    def _mix(self, x, matrix):
        """The 4 values of each block and channel, through a 4 x 4 matrix."""
        height, width, channels = self.latent_shape
        blocks = ops.reshape(x, (-1, height * width, 4, channels // 4))
        return ops.reshape(ops.einsum("ij,bpjc->bpic", ops.convert_to_tensor(matrix), blocks), (-1, *self.latent_shape))

    def forward_and_log_det(self, x: Tensor, condition: Tensor | None = None, training: bool = False) -> Result:
        z, _ = super().forward_and_log_det(x)
        return self._mix(z, HAAR), repeated(self._log_det(), x)

    def inverse_and_log_det(self, z: Tensor, condition: Tensor | None = None, training: bool = False) -> Result:
        x, _ = super().inverse_and_log_det(self._mix(z, np.linalg.inv(HAAR)))
        return x, repeated(-self._log_det(), z)
