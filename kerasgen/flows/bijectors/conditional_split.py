"""Conditional split: some channels leave, through a flow that reads the others (Yu et al. 2020, "Wavelet flow")."""

from keras import ops

from kerasgen.flows.bijectors.base import Bijector, Result, Shape, Tensor
from kerasgen.networks.geometry import with_label_planes


class ConditionalSplit(Bijector):
    """x to (kept, z): the first `num_kept` channels as they are, and the others through `flow`.

    The flow's `condition` is `context_channels` channels: those kept, in [0, 1], brought to about unit variance, and
    with `num_classes` the one-hot label as constant planes.
    """

    def __init__(
        self, shape: Shape, num_kept: int, flow: Bijector, num_classes: int | None = None, name: str = "split"
    ):
        super().__init__(shape, name=name)
        self.num_kept = num_kept
        self.flow = flow
        self.num_classes = num_classes
        self.kept_shape = (*self.shape[:2], num_kept)
        self.latent_shape = (self.kept_shape, flow.latent_shape)

    @property
    def initialized(self) -> bool:
        return self.flow.initialized

    def _context(self, kept, one_hot):
        context = 4.0 * kept - 2.0
        return context if self.num_classes is None else with_label_planes(context, one_hot)

    def initialize(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        kept, x = ops.split(x, [self.num_kept], axis=-1)
        return kept, self.flow.initialize(x, self._context(kept, condition))

    def forward_and_log_det(self, x: Tensor, condition: Tensor | None = None, training: bool = False) -> Result:
        """`(kept, z)`, and the log-determinant of x to both."""
        kept, x = ops.split(x, [self.num_kept], axis=-1)
        z, log_det = self.flow.forward_and_log_det(x, self._context(kept, condition), training)
        return (kept, z), log_det

    def inverse_and_log_det(self, z: Tensor, condition: Tensor | None = None, training: bool = False) -> Result:
        """x of `(kept, z)`."""
        kept, z = z
        x, log_det = self.flow.inverse_and_log_det(z, self._context(kept, condition), training)
        return ops.concatenate([kept, x], axis=-1), log_det
