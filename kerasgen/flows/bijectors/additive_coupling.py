"""Additive coupling (Dinh et al. 2015, "NICE", section 3.2)."""

import keras
from keras import ops

from kerasgen.flows.bijectors.coupling import Coupling


@keras.saving.register_keras_serializable("kerasgen")
class AdditiveCoupling(Coupling):
    """y = x + shift; volume is kept, the log-determinant is 0."""

    def transform(self, x, outputs, inverse):
        return x - outputs if inverse else x + outputs, ops.zeros_like(x)
