"""Coupling by monotonic rational-quadratic splines (Durkan et al. 2019, "Neural spline flows")."""

import math

from keras import ops

from kerasgen.flows.bijectors.base import Shape, Tensor
from kerasgen.flows.bijectors.coupling import Coupling
from kerasgen.typing import Any

MIN_WIDTH = MIN_HEIGHT = MIN_DERIVATIVE = 1e-3


class RationalQuadraticSpline(Coupling):
    """Each value goes through a spline of `num_bins` pieces on [-bound, bound], and through the identity outside.

    The network gives K widths, K heights and K - 1 inner derivatives for each value (section 3.1); the derivatives at
    both ends are 1, so that the map is smooth there.
    """

    def __init__(self, shape: Shape, *args: Any, num_bins: int = 8, bound: float = 4.0, **kwargs: Any):
        self.num_bins = num_bins
        self.bound = bound
        self.outputs_per_value = 3 * num_bins - 1
        super().__init__(shape, *args, **kwargs)

    def transform(self, x: Tensor, outputs: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
        parameters = ops.reshape(outputs, (*ops.shape(x), self.outputs_per_value))
        return spline(x, parameters, self.bound, inverse)


def spline(x: Tensor, parameters: Tensor, bound: float, inverse: bool = False) -> tuple[Tensor, Tensor]:
    """The spline at x, shaped `[...]`, or its inverse, and the logarithm of the derivative.

    parameters `[..., 3K - 1]`: K widths and K heights before a softmax, K - 1 derivatives before a softplus that is
    shifted so that all zeros give the identity.

    In the bin from (x_k, y_k) of width w and height h, with s = h / w, t = (x - x_k) / w and derivatives d, d' at its
    ends, the value is y_k + h (s t^2 + d t (1 - t)) / D, D = s + (d + d' - 2 s) t (1 - t) (eq. 4), and its derivative
    s^2 (d' t^2 + 2 s t (1 - t) + d (1 - t)^2) / D^2 (eq. 5). The inverse solves a quadratic for t (eq. 6 to 8).
    """
    k = (parameters.shape[-1] + 1) // 3
    raw_widths, raw_heights = parameters[..., :k], parameters[..., k : 2 * k]
    derivatives = MIN_DERIVATIVE + ops.softplus(parameters[..., 2 * k :] + math.log(math.expm1(1.0 - MIN_DERIVATIVE)))
    ends = ops.ones_like(derivatives[..., :1])
    derivatives = ops.concatenate([ends, derivatives, ends], axis=-1)  # [..., K + 1]
    x_knots, widths = _knots(raw_widths, MIN_WIDTH, bound)
    y_knots, heights = _knots(raw_heights, MIN_HEIGHT, bound)

    inside = ops.logical_and(x >= -bound, x <= bound)
    clipped = ops.clip(x, -bound, bound)
    knots = y_knots if inverse else x_knots
    # The bin of x, one-hot: differences of x >= knot, over the inner knots.
    above = ops.cast(clipped[..., None] >= knots[..., 1:-1], "float32")  # [..., K - 1]
    last = ops.zeros_like(above[..., :1])
    chosen = ops.concatenate([last + 1.0, above], axis=-1) - ops.concatenate([above, last], axis=-1)  # [..., K]

    def pick(values):
        return ops.sum(chosen * values, axis=-1)

    x_k, w, y_k, h = pick(x_knots[..., :-1]), pick(widths), pick(y_knots[..., :-1]), pick(heights)
    d, d_next = pick(derivatives[..., :-1]), pick(derivatives[..., 1:])
    s = h / w
    if inverse:
        rise = clipped - y_k
        bend = rise * (d + d_next - 2.0 * s)
        a = h * (s - d) + bend
        b = h * d - bend
        c = -s * rise
        root = ops.sqrt(ops.maximum(ops.square(b) - 4.0 * a * c, 0.0))
        t = 2.0 * c / (-b - root)
    else:
        t = (clipped - x_k) / w
    mixed = t * (1.0 - t)
    denominator = s + (d + d_next - 2.0 * s) * mixed
    slope = ops.square(s) * (d_next * ops.square(t) + 2.0 * s * mixed + d * ops.square(1.0 - t))
    log_derivative = ops.log(slope) - 2.0 * ops.log(denominator)
    if inverse:
        y, log_derivative = x_k + t * w, -log_derivative
    else:
        y = y_k + h * (s * ops.square(t) + d * mixed) / denominator
    return ops.where(inside, y, x), ops.where(inside, log_derivative, 0.0)


def _knots(raw, minimum, bound):
    """Knots `[..., K + 1]` from -bound to bound, and the K distances between them, none under `2 * bound * minimum`."""
    k = raw.shape[-1]
    sizes = minimum + (1.0 - minimum * k) * ops.softmax(raw, axis=-1)
    inner = 2.0 * bound * ops.cumsum(sizes, axis=-1)[..., :-1] - bound
    edge = ops.ones_like(raw[..., :1]) * bound
    knots = ops.concatenate([-edge, inner, edge], axis=-1)
    return knots, knots[..., 1:] - knots[..., :-1]
