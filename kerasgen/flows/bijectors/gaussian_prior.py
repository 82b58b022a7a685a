"""A normal prior with learned means and scales, as a map to the standard normal."""

from keras import ops

from kerasgen.base import sum_of_each
from kerasgen.flows.bijectors.base import Bijector, Result, Shape, Tensor


class GaussianPrior(Bijector):
    """z = (x - mean) exp(-log_scale): z ~ N(0, I) says x ~ N(mean, exp(log_scale)^2).

    Each value of x has a mean and a scale of its own; with `num_classes`, each class has, and `condition` is its
    one-hot label `[B, num_classes]` (Kingma and Dhariwal 2018, "Glow", section 4, for the class-conditional prior).
    """

    def __init__(self, shape: Shape, num_classes: int | None = None, name: str = "prior"):
        super().__init__(shape, name=name)
        self.num_classes = num_classes
        table = (num_classes or 1, *self.shape)
        self.mean = self.add_weight(shape=table, initializer="zeros", name="mean")
        self.log_scale = self.add_weight(shape=table, initializer="zeros", name="log_scale")

    def _of(self, table, condition):
        """Rows of a table for the classes of the batch, `[B, *shape]`, or the one row there is, `[1, *shape]`."""
        if self.num_classes is None:
            return ops.convert_to_tensor(table)
        flat = ops.matmul(condition, ops.reshape(table, (self.num_classes, -1)))
        return ops.reshape(flat, (-1, *self.shape))

    def forward_and_log_det(self, x: Tensor, condition: Tensor | None = None, training: bool = False) -> Result:
        log_scale = self._of(self.log_scale, condition)
        z = (x - self._of(self.mean, condition)) * ops.exp(-log_scale)
        return z, -sum_of_each(ops.broadcast_to(log_scale, ops.shape(z)))

    def inverse_and_log_det(self, z: Tensor, condition: Tensor | None = None, training: bool = False) -> Result:
        log_scale = self._of(self.log_scale, condition)
        x = z * ops.exp(log_scale) + self._of(self.mean, condition)
        return x, sum_of_each(ops.broadcast_to(log_scale, ops.shape(x)))
