"""The sides and channels of levels, and how images change them."""

import math
from collections.abc import Iterable

from keras import ops

from kerasgen.errors import InputError
from kerasgen.typing import Tensor

Shape = tuple[int, ...]


def sides_of(height: int, width: int) -> list[tuple[int, int]]:
    """The sides at each level, finest first, halved until one is below 8: (28, 28), (14, 14), (7, 7) for 28 x 28."""
    sides = [(height, width)]
    while min(sides[-1]) >= 8:
        sides.append((-(-sides[-1][0] // 2), -(-sides[-1][1] // 2)))
    return sides


def channels_of(width: int, level: int, most: int = 8) -> int:
    """Channels at a level, 0 the finest: `width`, doubled from level to level, up to `most` times as many."""
    return width * min(2**level, most)


def check_attention(levels: Iterable[int], known: range) -> None:
    """Raises `InputError` for levels with attention that there are none of."""
    if wrong := [level for level in levels if level not in known]:
        expected = f"levels from {known.start} to {known.stop - 1}" if known else "none: there is one level"
        raise InputError(f"attention is at level {wrong[0]}; expected {expected}.")


def check_sides(height: int, width: int, factor: int, name: str) -> None:
    """Raises `InputError` for sides that the levels do not divide."""
    if height % factor or width % factor:
        raise InputError(f"{name} of these levels takes sides that are multiples of {factor}, not {height} x {width}.")


def latent_shape(image: Shape, levels: int, values: int, name: str) -> tuple[int, int, int]:
    """`(h, w, L)` of latents of `values` numbers. Raises `InputError`: there is no such L."""
    factor = 2 ** (levels - 1)
    check_sides(image[0], image[1], factor, name)
    height, width = image[0] // factor, image[1] // factor
    if values % (height * width):
        found = f"{values} latents do not divide over {height} x {width} places"
        raise InputError(f"{found}, which {name} has for images of {image[0]} x {image[1]}.")
    return height, width, values // (height * width)


def flatten(x: Tensor) -> Tensor:
    """`[B, ...]` to `[B, F]`; B may be 0, of which no -1 could be inferred."""
    shape = ops.shape(x)
    return ops.reshape(x, (shape[0], math.prod(shape[1:])))


def space_to_depth(x: Tensor, size: int) -> Tensor:
    """`[B, H, W, C]` to `[B, H / size, W / size, C size^2]`."""
    b, h, w, c = ops.shape(x)
    x = ops.reshape(x, (b, h // size, size, w // size, size, c))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (b, h // size, w // size, size * size * c))


def depth_to_space(x: Tensor, size: int) -> Tensor:
    """The inverse of `space_to_depth`."""
    b, h, w, c = ops.shape(x)
    x = ops.reshape(x, (b, h, w, size, size, c // size**2))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (b, h * size, w * size, c // size**2))


def video_to_depth(x: Tensor, frames: int, side: int) -> Tensor:
    """`[B, T, H, W, C]` to `[B, T / frames, H / side, W / side, frames side^2 C]`: blocks of space and time."""
    b, t, h, w, c = ops.shape(x)
    x = ops.reshape(x, (b, t // frames, frames, h // side, side, w // side, side, c))
    size = (b, t // frames, h // side, w // side, frames * side * side * c)
    return ops.reshape(ops.transpose(x, (0, 1, 3, 5, 2, 4, 6, 7)), size)


def depth_to_video(x: Tensor, frames: int, side: int) -> Tensor:
    """The inverse of `video_to_depth`."""
    b, t, h, w, c = ops.shape(x)
    x = ops.reshape(x, (b, t, h, w, frames, side, side, c // (frames * side**2)))
    size = (b, t * frames, h * side, w * side, c // (frames * side**2))
    return ops.reshape(ops.transpose(x, (0, 1, 4, 2, 5, 3, 6, 7)), size)


def with_label_planes(x: Tensor, one_hot: Tensor) -> Tensor:
    """`[B, H, W, C]` with a constant plane for each class besides: `[B, H, W, C + num_classes]`; videos likewise."""
    batch, *places, _ = ops.shape(x)
    one_hot = ops.reshape(one_hot, (batch, *[1] * len(places), one_hot.shape[-1]))
    planes = ops.broadcast_to(one_hot, (batch, *places, one_hot.shape[-1]))
    return ops.concatenate([x, planes], axis=-1)
