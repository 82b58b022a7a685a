"""Dequantization: from the discrete values of pixels to a density on [0, 1].

Pixels k in 0..2^n - 1 become v = (k + u) / 2^n with u in (0, 1), drawn from q(u | k). With p the density of v,

    log P(k) >= E_q[log p(v) - log q(u | k)] - n D log 2

(Ho et al. 2019, "Flow++", eq. 12; Theis et al. 2016, section 3.1, for uniform q, where log q = 0). D is the number of
values of an image. Hence bits per dimension are n - (log p(v) - log q(u | k)) / (D log 2).
"""

import keras
from keras import ops

from kerasgen.flows.bijectors.affine_coupling import AffineCoupling
from kerasgen.flows.bijectors.base import Shape, Tensor
from kerasgen.flows.bijectors.logit import Logit
from kerasgen.flows.bijectors.squeeze import Squeeze
from kerasgen.typing import Any


@keras.saving.register_keras_serializable("kerasgen")
class UniformDequantization(keras.layers.Layer):
    """q(u | k) is uniform on the unit cube."""

    def __init__(self, num_bits: int = 8, name: str = "dequantization"):
        super().__init__(name=name, dtype="float32")
        self.num_bits = num_bits
        self.built = True

    def draw(self, k: Tensor, u: Tensor, training: bool = False) -> tuple[Tensor, Tensor]:
        """`u` and log q(u | k) `[B]` from uniform noise `u`, `[B, H, W, C]`."""
        return u, ops.zeros((ops.shape(u)[0],), "float32")

    def dequantize(self, k: Tensor, u: Tensor, training: bool = False) -> tuple[Tensor, Tensor]:
        """v in [0, 1] and log q(u | k) `[B]`, from k in 0..2^n - 1 as floats and uniform noise, both `[B, H, W, C]`."""
        u, log_q = self.draw(k, u, training)
        return (k + u) / 2.0**self.num_bits, log_q


@keras.saving.register_keras_serializable("kerasgen")
class VariationalDequantization(UniformDequantization):
    """q(u | k) is a flow of uniform noise, conditional on the image (Ho et al. 2019, "Flow++", section 3.1).

    u = sigmoid(f(logit(noise), k)), f four affine couplings of 2 x 2 blocks that read the image; with f the identity,
    as it starts, this is uniform. By the change of variables log q(u | k) = -log |det du/dnoise|.
    """

    def __init__(
        self, shape: Shape, num_bits: int = 8, width: int = 32, network_dtype: Any = None, name: str = "dequantization"
    ):
        super().__init__(num_bits, name=name)
        self.logit = Logit(shape, alpha=1e-6, name=f"{name}_logit")
        self.squeeze = Squeeze(shape, name=f"{name}_squeeze")
        shape = self.squeeze.latent_shape
        settings = {"width": width, "context_channels": shape[-1], "network_dtype": network_dtype}
        self.couplings = [
            AffineCoupling(shape, swap=index % 2 == 1, name=f"{name}_coupling_{index + 1}", **settings)
            for index in range(4)
        ]

    def draw(self, k: Tensor, u: Tensor, training: bool = False) -> tuple[Tensor, Tensor]:
        context, _ = self.squeeze.forward_and_log_det(2.0 * k / (2.0**self.num_bits - 1.0) - 1.0)
        h, log_det = self.logit.forward_and_log_det(u)
        h, _ = self.squeeze.forward_and_log_det(h)
        for coupling in self.couplings:
            h, term = coupling.forward_and_log_det(h, context, training)
            log_det = log_det + term
        h, _ = self.squeeze.inverse_and_log_det(h)
        u, term = self.logit.inverse_and_log_det(h)
        return u, -(log_det + term)
