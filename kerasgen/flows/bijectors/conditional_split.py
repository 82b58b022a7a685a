"""Conditional split: some channels leave, through a flow that reads the others (Yu et al. 2020, "Wavelet flow")."""

import keras
from keras import ops

from kerasgen.flows.bijectors.base import Bijector


@keras.saving.register_keras_serializable("kerasgen")
class ConditionalSplit(Bijector):
    """x to (kept, z): the first `num_kept` channels as they are, and the others through `flow`.

    The flow's `condition` is `context_channels` channels: those kept, in [0, 1], brought to about unit variance, and
    with `num_classes` the one-hot label as constant planes.
    """

    def __init__(self, shape, num_kept, flow, num_classes=None, name="split"):
        super().__init__(shape, name=name)
        self.num_kept = num_kept
        self.flow = flow
        self.num_classes = num_classes
        self.kept_shape = (*self.shape[:2], num_kept)
        self.latent_shape = (self.kept_shape, flow.latent_shape)

    @property
    def initialized(self):
        return self.flow.initialized

    def _context(self, kept, one_hot):
        context = 4.0 * kept - 2.0
        if self.num_classes is None:
            return context
        shape = (ops.shape(kept)[0], *self.shape[:2], self.num_classes)
        return ops.concatenate([context, ops.broadcast_to(one_hot[:, None, None, :], shape)], axis=-1)

    def initialize(self, x, condition=None):
        kept = x[..., : self.num_kept]
        return kept, self.flow.initialize(x[..., self.num_kept :], self._context(kept, condition))

    def forward_and_log_det(self, x, condition=None, training=False):
        """`(kept, z)`, and the log-determinant of x to both."""
        kept = x[..., : self.num_kept]
        z, log_det = self.flow.forward_and_log_det(x[..., self.num_kept :], self._context(kept, condition), training)
        return (kept, z), log_det

    def inverse_and_log_det(self, z, condition=None, training=False):
        """x of `(kept, z)`."""
        kept, z = z
        x, log_det = self.flow.inverse_and_log_det(z, self._context(kept, condition), training)
        return ops.concatenate([kept, x], axis=-1), log_det
