"""Affine coupling whose scale is a sigmoid, as in the code of Kingma and Dhariwal 2018, "Glow"."""

from keras import ops

from kerasgen.flows.bijectors.base import Tensor
from kerasgen.flows.bijectors.coupling import Coupling


class SigmoidCoupling(Coupling):
    """y = (x + shift) sigmoid(raw + 2): no value grows, and at the start each shrinks to 0.88 of it."""

    outputs_per_value = 2

    def transform(self, x: Tensor, outputs: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
        shift, raw = ops.split(outputs, 2, axis=-1)
        log_scale = ops.log_sigmoid(raw + 2.0)
        if inverse:
            return x * ops.exp(-log_scale) - shift, -log_scale
        return (x + shift) * ops.exp(log_scale), log_scale
