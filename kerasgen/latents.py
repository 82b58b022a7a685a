"""What the latents of a model mean: directions of attributes, walks along them, and a map.

For any model with `encode` to vectors and `decode`: autoencoders, VAEs, flows, diffusion by its ODE.
"""

import numpy as np

from kerasgen import inputs
from kerasgen.base import LatentModel
from kerasgen.errors import InputError
from kerasgen.modalities import Images, check_latents, to_numpy
from kerasgen.pictures import MARGIN, to_uint8
from kerasgen.typing import Any, Array, ArrayLike, Labels, Sequence

RIDGE = 1e-2  # added to variances, as a share of their mean


def direction(z: ArrayLike, has: ArrayLike) -> Array:
    """The direction in which an attribute grows, float32 `[D]`: a step of length 1 takes the mean without it to with.

    It is the shortest d with w^T d = w^T (m1 - m0), w = S^-1 (m1 - m0) being Fisher's linear discriminant (1936) with S
    the covariance within both kinds: d = w w^T (m1 - m0) / w^T w. The difference of the means m1 - m0 alone would take
    along whatever else differs between the kinds.

    Args:
        z: latents `[N, D]`, as `encode` gives them.
        has: `[N]`, whether each example has the attribute.

    Raises `InputError`: all examples are of one kind.
    """
    z, has = to_numpy("latents", z), to_numpy("has", has)
    if z.ndim != 2 or has.shape != z.shape[:1] or not np.isfinite(z).all():
        raise InputError(f"latents have shape {z.shape} and has {has.shape}; expected [N, D], all finite, and [N].")
    has = has.astype(bool)
    if has.all() or not has.any():
        raise InputError(f"all {len(has)} examples are of one kind; expected some with the attribute and some without.")
    with_it, without = z[has].astype(np.float64), z[~has].astype(np.float64)
    difference = with_it.mean(axis=0) - without.mean(axis=0)
    within = np.concatenate([with_it - with_it.mean(axis=0), without - without.mean(axis=0)])
    ridge = RIDGE * np.square(within).mean()
    if not ridge > 0.0:
        raise InputError("all examples of a kind have the same latents; expected several different ones of each.")
    num, size = within.shape
    if num < size:  # (r I + X^T X / N)^-1 d = (d - X^T (N r I + X X^T)^-1 X d) / r
        inner = np.linalg.solve(num * ridge * np.eye(num) + within @ within.T, within @ difference)
        w = (difference - within.T @ inner) / ridge
    else:
        w = np.linalg.solve(within.T @ within / num + ridge * np.eye(size), difference)
    return (w * (difference @ w) / (w @ w)).astype(np.float32)


def traverse(
    model: LatentModel,
    x: ArrayLike,
    along: ArrayLike,
    amounts: Sequence[float] = (-2.0, -1.0, 0.0, 1.0, 2.0),
    labels: Labels = None,
    **settings: Any,
) -> Array:
    """Examples `[N, steps, *shape]` of latents that go from those of x along a direction, by each of the amounts."""
    along = check_latents(np.asarray(along)[None], model.latent_dim)
    steps = np.array([inputs.check_number("amounts", abs(amount), 0.0) * np.sign(amount) for amount in amounts])
    z = model.encode(x, labels, **settings)
    moved = (z[:, None] + steps[:, None] * along).reshape(-1, model.latent_dim).astype(np.float32)
    labels = None if labels is None else np.repeat(model.check_labels(labels, len(z)), len(steps), axis=0)
    return model.decode(moved, labels, **settings).reshape(len(z), len(steps), *model.shape)


def combine(
    model: LatentModel, plus: Sequence[Array], minus: Sequence[Array] = (), labels: Labels = None, **settings: Any
) -> Array:
    """Examples `[N, *shape]` of sums and differences of latents: of (king, woman) less (man,), a queen.

    Args:
        plus, minus: examples `[N, *shape]` each, as many of each; latents are summed, and those of `minus` taken away.
    """
    parts = [*plus, *minus]
    if not plus or len({len(part) for part in parts}) != 1:
        raise InputError(f"plus and minus have {[len(part) for part in parts]} examples; expected as many of each.")
    signs = [1.0] * len(plus) + [-1.0] * len(minus)
    z = sum(sign * model.encode(part, labels, **settings) for sign, part in zip(signs, parts, strict=True))
    return model.decode(np.asarray(z, np.float32), labels, **settings)


def plane(z: ArrayLike) -> Array:
    """Latents `[N, D]` on the plane of their two principal components, float64 `[N, 2]`; D is at least 2."""
    z = np.asarray(to_numpy("latents", z), np.float64)
    if z.ndim != 2 or z.shape[1] < 2 or len(z) < 2:
        raise InputError(f"latents have shape {z.shape}; expected [N, D], both at least 2.")
    centred = z - z.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    flat = centred @ axes[:2].T
    return flat * np.where(np.abs(flat.min(axis=0)) > flat.max(axis=0), -1.0, 1.0)  # longer tails to the right, up


def picture(model: LatentModel, x: ArrayLike, labels: Labels = None, columns: int = 24, **settings: Any) -> Array:
    """A map of examples, uint8 `[H, W, C]`: each cell of a plane of their latents shows the example nearest to it.

    Args:
        x: images to show, some hundreds or thousands of them.
        columns: cells on a side.
    """
    if not isinstance(model.modality, Images) or not model.modality.drawable:
        raise InputError(f"a map shows images of 1 or 3 channels; this model is of {model.modality.noun}.")
    columns = inputs.check_integer("columns", columns, 2)
    flat = plane(model.encode(x, labels, **settings))
    low, high = np.quantile(flat, [0.01, 0.99], axis=0)
    cells = (flat - low) / (high - low) * columns  # [N, 2]
    images = model.modality.to_float(model.modality.check(x))
    height, width, channels = (side + MARGIN if axis < 2 else side for axis, side in enumerate(model.shape))
    found = np.full((columns * height + MARGIN, columns * width + MARGIN, channels), 255, np.uint8)
    for row in range(columns):
        for column in range(columns):
            distance = np.square(cells - (column + 0.5, columns - row - 0.5)).sum(axis=1)
            nearest = distance.argmin()
            if distance[nearest] <= 0.5:  # within the circle around the cell
                top, left = MARGIN + row * height, MARGIN + column * width
                found[top : top + model.shape[0], left : left + model.shape[1]] = to_uint8(images[nearest])
    return found
