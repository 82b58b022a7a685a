"""What coupling layers share: the masks (Dinh et al. 2017, "Density estimation using Real NVP", section 3.4)."""

import numpy as np
from keras import ops

from kerasgen import inputs
from kerasgen.base import sum_of_each
from kerasgen.errors import InputError
from kerasgen.flows.bijectors.base import Array, Bijector, Result, Shape, Tensor
from kerasgen.networks import resolve
from kerasgen.typing import Any

MASKS = ("channel", "checkerboard")


def bounded(raw: Tensor, bound: float) -> Tensor:
    """A log-scale in (-bound, bound) that is 0, with slope 1, where the network's output is 0."""
    return bound * ops.tanh(raw / bound)


class Coupling(Bijector, abstract=True):
    """One part of x stays as it is and decides, through a network, how the other part is changed, value by value.

    Subclasses give `outputs_per_value`, the network's outputs for each value, and
    `transform(x, outputs, inverse)`: the changed values and the logarithm of their derivative, both shaped as x, with
    outputs `[..., C * outputs_per_value]`.

    Args:
        shape: of x, without the batch.
        network: a name from `kerasgen.networks.COUPLINGS`, or a Keras layer.
        width: of a network given by name.
        mask: "channel": the first half of the channels stays; "checkerboard": every other position stays (every other
            feature of a vector).
        swap: whether the other part stays instead.
        context_channels: channels of `condition`, `[B, ..., context_channels]`, which the network reads besides.
        network_dtype: dtype policy of a network given by name; all else is float32.
    """

    outputs_per_value = 1

    def __init__(
        self,
        shape: Shape,
        network: Any = "conv",
        width: int = 64,
        mask: str = "channel",
        swap: bool = False,
        context_channels: int = 0,
        network_dtype: Any = None,
        name: str = "coupling",
    ):
        super().__init__(shape, name=name)
        inputs.check_choice("mask", mask, MASKS)
        *sides, channels = self.shape
        if (mask == "channel" or not sides) and channels < 2:
            raise InputError(f"a coupling of shape {self.shape} has nothing to split: it needs at least 2 channels.")
        self.mask = mask
        self.swap = bool(swap)
        self.context_channels = context_channels
        if mask == "channel":
            first = channels // 2
            self.num_kept = channels - first if self.swap else first
            kept, changed = self.num_kept, channels - self.num_kept
        else:
            kept = changed = channels
        read, given = (*sides, kept + context_channels), (*sides, changed * self.outputs_per_value)
        self.network = resolve.coupling(network, read, given, width, network_dtype, f"{name}_network")

    def transform(self, x: Tensor, outputs: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def forward_and_log_det(self, x: Tensor, condition: Tensor | None = None, training: bool = False) -> Result:
        return self._couple(x, condition, training, inverse=False)

    def inverse_and_log_det(self, z: Tensor, condition: Tensor | None = None, training: bool = False) -> Result:
        return self._couple(z, condition, training, inverse=True)

    def _outputs(self, kept, condition, training):
        if self.context_channels:
            kept = ops.concatenate([kept, condition], axis=-1)
        return ops.cast(self.network(kept, training=training), "float32")

    def _couple(self, x, condition, training, inverse):
        if self.mask == "checkerboard":
            mask = ops.convert_to_tensor(checkerboard(self.shape, self.swap))
            outputs = self._outputs(mask * x, condition, training)
            y, log_derivative = self.transform(x, outputs, inverse)
            return mask * x + (1.0 - mask) * y, sum_of_each((1.0 - mask) * log_derivative)
        first = self.shape[-1] - self.num_kept if self.swap else self.num_kept
        a, b = ops.split(x, [first], axis=-1)
        kept, changed = (b, a) if self.swap else (a, b)
        y, log_derivative = self.transform(changed, self._outputs(kept, condition, training), inverse)
        parts = [y, kept] if self.swap else [kept, y]
        return ops.concatenate(parts, axis=-1), sum_of_each(log_derivative)


def checkerboard(shape: Shape, swap: bool) -> Array:
    """1 where x stays: positions with an even row + column (even features of a vector); with `swap` the others."""
    if len(shape) == 1:
        parity = np.arange(shape[0]) % 2
    else:
        parity = np.broadcast_to((np.add.outer(*map(np.arange, shape[:2])) % 2)[..., None], shape)
    return (parity == int(swap)).astype(np.float32)
