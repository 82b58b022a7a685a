"""Split: half of the channels leave the flow (Dinh et al. 2017, "Real NVP", section 3.6; Glow, section 3.3)."""

from keras import ops

from kerasgen import inputs
from kerasgen.base import sum_of_each
from kerasgen.errors import InputError
from kerasgen.flows.bijectors.base import Bijector, Result, Shape, Tensor
from kerasgen.flows.bijectors.coupling import bounded
from kerasgen.networks import resolve
from kerasgen.networks.geometry import with_label_planes
from kerasgen.typing import Any

LOG_SCALE_BOUND = 5.0
NETWORKS = ("linear", "padded_linear")


class Split(Bijector):
    """x to (kept, z): the first half of the channels, and the second half standardised by its learned prior.

    The prior of the second half is N(mean(kept), exp(log_scale(kept))^2), from one convolution that starts at zero, so
    z = (second - mean) exp(-log_scale) is standard normal. With `num_classes` the convolution reads the one-hot label
    too (`condition`, `[B, num_classes]`), as constant planes.

    Args:
        network: "linear", or "padded_linear" with log-scales as they are, which are in (-5, 5) else.
    """

    def __init__(
        self,
        shape: Shape,
        num_classes: int | None = None,
        network_dtype: Any = None,
        name: str = "split",
        network: str = "linear",
    ):
        super().__init__(shape, name=name)
        self.bounded = inputs.check_choice("split", network, NETWORKS) == "linear"
        if len(self.shape) != 3 or self.shape[-1] < 2:
            raise InputError(f"shape {self.shape} cannot be split: expected (height, width, channels of at least 2).")
        *sides, channels = self.shape
        self.num_kept = channels // 2
        self.num_classes = num_classes
        read, given = (*sides, self.num_kept + (num_classes or 0)), (*sides, 2 * (channels - self.num_kept))
        self.network = resolve.coupling(network, read, given, 1, network_dtype, f"{name}_network")
        self.kept_shape = (*sides, self.num_kept)
        self.latent_shape = (self.kept_shape, (*sides, channels - self.num_kept))

    def _prior(self, kept, condition, training):
        x = kept if self.num_classes is None else with_label_planes(kept, condition)
        mean, raw = ops.split(ops.cast(self.network(x, training=training), "float32"), 2, axis=-1)
        return mean, bounded(raw, LOG_SCALE_BOUND) if self.bounded else raw

    def forward_and_log_det(self, x: Tensor, condition: Tensor | None = None, training: bool = False) -> Result:
        """`(kept, z)`, and the log-determinant of x to both."""
        kept, second = ops.split(x, [self.num_kept], axis=-1)
        mean, log_scale = self._prior(kept, condition, training)
        return (kept, (second - mean) * ops.exp(-log_scale)), -sum_of_each(log_scale)

    def inverse_and_log_det(self, z: Tensor, condition: Tensor | None = None, training: bool = False) -> Result:
        """x of `(kept, z)`."""
        kept, second = z
        mean, log_scale = self._prior(kept, condition, training)
        x = ops.concatenate([kept, second * ops.exp(log_scale) + mean], axis=-1)
        return x, sum_of_each(log_scale)
