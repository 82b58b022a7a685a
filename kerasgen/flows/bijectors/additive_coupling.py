"""Additive coupling (Dinh et al. 2015, "NICE", section 3.2)."""

from keras import ops

from kerasgen.flows.bijectors.base import Tensor
from kerasgen.flows.bijectors.coupling import Coupling


class AdditiveCoupling(Coupling):
    """y = x + shift; volume is kept, the log-determinant is 0."""

    def transform(self, x: Tensor, outputs: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
        return x - outputs if inverse else x + outputs, ops.zeros_like(x)
