"""Logit: from the unit interval to the line (Dinh et al. 2017, "Density estimation using Real NVP", section 4.1)."""

import math

from keras import ops

from kerasgen.base import sum_of_each
from kerasgen.flows.bijectors.base import Bijector, Result, Shape, Tensor


class Logit(Bijector):
    """z = logit(p), p = alpha + (1 - 2 alpha) x for x in [0, 1].

    log dz/dx = log(1 - 2 alpha) - log p - log(1 - p), and -log p - log(1 - p) = softplus(z) + softplus(-z).
    """

    def __init__(self, shape: Shape, alpha: float = 0.05, name: str = "logit"):
        super().__init__(shape, name=name)
        self.alpha = alpha

    def _log_derivative(self, z):
        return ops.softplus(z) + ops.softplus(-z) + math.log(1.0 - 2.0 * self.alpha)

    def forward_and_log_det(self, x: Tensor, condition: Tensor | None = None, training: bool = False) -> Result:
        p = self.alpha + (1.0 - 2.0 * self.alpha) * x
        z = ops.log(p) - ops.log1p(-p)
        return z, sum_of_each(self._log_derivative(z))

    def inverse_and_log_det(self, z: Tensor, condition: Tensor | None = None, training: bool = False) -> Result:
        x = (ops.sigmoid(z) - self.alpha) / (1.0 - 2.0 * self.alpha)
        return x, -sum_of_each(self._log_derivative(z))
