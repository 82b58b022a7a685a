"""Images of any size as tiles of one size, and back."""

import itertools
import math

import numpy as np

from kerasgen.typing import Array, Sequence


def starts(side: int, tile: int, margin: int = 0) -> list[int]:
    """Where the tiles along a side begin: each shares twice `margin` with the one before, the last one perhaps more."""
    if side <= tile:
        return [0]
    step = tile - 2 * margin
    return [min(index * step, side - tile) for index in range(math.ceil((side - 2 * margin) / step))]


def number(sides: Sequence[int], tile: Sequence[int]) -> int:
    """Tiles of one image, without margins."""
    return math.prod(len(starts(*both)) for both in zip(sides, tile, strict=True))


def cut(images: Array, sides: Sequence[int], margin: int = 0) -> Array:
    """Tiles `[N rows columns, h, w, C]` of images `[N, H, W, C]`, row by row.

    Smaller images are filled up by reflections, below and on the right. Of larger ones `margin` is less than half of a
    tile's sides.
    """
    after = [max(0, tile - side) for tile, side in zip(sides, images.shape[1:3], strict=True)]
    padded = np.pad(images, ((0, 0), (0, after[0]), (0, after[1]), (0, 0)), mode="symmetric")
    places = _places(images.shape[1:3], sides, margin)
    tiles = [padded[:, top : top + sides[0], left : left + sides[1]] for top, left in places]
    return np.stack(tiles, axis=1).reshape(-1, *sides, images.shape[-1])


def join(tiles: Array, sides: Sequence[int], margin: int = 0) -> Array:
    """Images `[N, *sides, C]` of what was made of the tiles that `cut` gives of images of these sides.

    A place in several tiles is taken from the first one in which it is no longer in the margin of the next.
    """
    _, *tile, channels = tiles.shape
    places = list(_places(sides, tile, margin))
    parts = tiles.reshape(-1, len(places), *tile, channels)
    whole = np.empty((len(parts), *(max(both) for both in zip(sides, tile, strict=True)), channels), tiles.dtype)
    for index, (top, left) in enumerate(places):
        below, right = (margin if start else 0 for start in (top, left))
        part = parts[:, index, below:, right:]
        whole[:, top + below : top + tile[0], left + right : left + tile[1]] = part
    return whole[:, : sides[0], : sides[1]]


def _places(sides, tile, margin):
    """(top, left) of each tile, row by row."""
    return itertools.product(*(starts(*both, margin) for both in zip(sides, tile, strict=True)))
