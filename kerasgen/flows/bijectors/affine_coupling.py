"""Affine coupling (Dinh et al. 2017, "Density estimation using Real NVP", eq. 4 and 5)."""

from keras import ops

from kerasgen.flows.bijectors.base import Tensor
from kerasgen.flows.bijectors.coupling import Coupling, bounded

LOG_SCALE_BOUND = 2.0


class AffineCoupling(Coupling):
    """y = (x + shift) exp(log_scale), with log_scale in (-2, 2) by `bounded`: no value grows or shrinks over 7.4 times.

    The shift comes first, as in Glow: what the network says of the shift is in units of x.
    """

    outputs_per_value = 2

    def transform(self, x: Tensor, outputs: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
        shift, raw = ops.split(outputs, 2, axis=-1)
        log_scale = bounded(raw, LOG_SCALE_BOUND)
        if inverse:
            return x * ops.exp(-log_scale) - shift, -log_scale
        return (x + shift) * ops.exp(log_scale), log_scale
