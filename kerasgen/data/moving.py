"""Videos made of images that bounce about: Moving MNIST (Srivastava et al. 2015), as TensorFlow Datasets defines it."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kerasgen import noise
from kerasgen.data.batches import batches, check_index
from kerasgen.data.opening import open_source
from kerasgen.data.pipeline import num_batches_of
from kerasgen.data.sources import Source
from kerasgen.errors import DatasetError, InputError
from kerasgen.typing import Any, Array

if TYPE_CHECKING:
    import tensorflow as tf

OBJECTS = 2  # in a video
SPEED = 0.1  # of the way that there is, a frame
STREAM = 7  # of the random numbers


def load_moving_arrays(
    source: Any,
    split: str = "train",
    side: int = 64,
    *,
    frames: int,
    labels: str | bool = False,
    data_dir: str | os.PathLike | None = None,
) -> tuple[Array, Array | None]:
    """Videos uint8 `[N, frames, side, side, C]`, or single frames `[N, side, side, C]` of `frames=1`; and labels.

    There are as many as images, and a video depends on its number alone. In it two images, its own and one drawn at
    random, move in straight lines and are reflected by the edges: from a place p, uniform in the unit square of where
    there is room, by a velocity of length 0.1 in a direction that is uniform, too. Where they meet the brighter one is
    seen.

    Args:
        source, split, data_dir: of the images, see `load`; they are of one shape.
        side: of the square that they move in.
        labels: `False` for none; "attributes" tell the classes of what moves in each, bool `[N, num_classes]`.
    """
    opened = moving_source(source, split, side, frames, labels, data_dir)
    return opened.stack(range(opened.num)), opened.labels


def load_moving(
    source: Any,
    split: str = "train",
    side: int = 64,
    batch_size: int = 64,
    *,
    frames: int,
    labels: str | bool = False,
    shuffle: bool = False,
    seed: int = 0,
    drop_remainder: bool = False,
    repeat: bool = False,
    first_epoch: int = 0,
    first_batch: int = 0,
    shard: tuple[int, int] = (0, 1),
    data_dir: str | os.PathLike | None = None,
) -> "tf.data.Dataset":
    """Batches of videos that are made as they are needed, with labels if they are asked for.

    Arguments and errors as in `load` and `load_moving_arrays`.
    """
    opened = moving_source(source, split, side, frames, labels, data_dir)
    num_batches = num_batches_of(opened, batch_size, drop_remainder)
    where = (first_epoch, first_batch, shard)
    return batches([opened], num_batches, batch_size, shuffle, seed, False, drop_remainder, repeat, *where)


def moving_source(
    source: Any,
    split: str,
    side: int,
    frames: int,
    labels: str | bool = False,
    data_dir: str | os.PathLike | None = None,
) -> Source:
    """A `Source` of the videos, and labels.

    Raises `DatasetError`: the images are larger than the square, or of several shapes, or have no classes to tell.
    """
    side, frames = check_index("side", side, 1), check_index("frames", frames, 1)
    if labels not in (False, "attributes"):
        raise InputError(f'labels is {labels!r}; expected False, or "attributes" for the classes of what moves.')
    images = open_source(source, split, None if labels else False, data_dir)
    videos = Moving(images, side, frames)
    return Source(images.name, images.num, lambda: (videos, videos.classes() if labels else None))


class Moving(Sequence):
    """Videos by number: see `load_moving_arrays`. Raises `DatasetError` as `moving_source`."""

    def __init__(self, images: Source, side: int, frames: int):
        self.images, self.side, self.frames = images, side, frames
        self.shape = images.image(0).shape
        if max(self.shape[:2]) > side:
            sides = "{} x {}".format(*self.shape)
            raise DatasetError(f"{images.name} has images of {sides}, which do not fit into {side} x {side}.")

    def __len__(self) -> int:
        return self.images.num

    def __getitem__(self, index: int) -> Array:
        u = self.drawn(index, index + 1)[0]
        video = np.zeros((self.frames, self.side, self.side, self.shape[-1]), np.uint8)
        for number, places in zip([index, *self.others(u)], self.places(u), strict=True):
            image = self.images.image(int(number))
            self.images.check_same(self.shape, image.shape)
            for frame, (top, left) in zip(video, places, strict=True):
                seen = frame[top : top + self.shape[0], left : left + self.shape[1]]
                np.maximum(seen, image, out=seen)
        return video if self.frames > 1 else video[0]

    def drawn(self, start: int, stop: int) -> Array:
        """Four uniform numbers for each object of the videos from `start` on, `[stop - start, OBJECTS, 4]`."""
        return noise.uniform(start, stop, (OBJECTS, 4), 0, STREAM)

    def others(self, u: Array) -> Array:
        """The numbers of the images that are drawn, int `[..., OBJECTS - 1]`, by `u` `[..., OBJECTS, 4]`."""
        return np.minimum((u[..., 1:, 3] * len(self)).astype(int), len(self) - 1)

    def classes(self) -> Array:
        """Which classes the images in each video have, bool `[N, num_classes]`."""
        labels = self.images.labels
        if labels is None or labels.ndim != 1:
            raise DatasetError(f"{self.images.name} has no classes, so none can be told; leave labels out.")
        num = len(self.images.class_names or ()) or int(labels.max()) + 1
        own, others = np.arange(len(self)), self.others(self.drawn(0, len(self)))
        shown = labels[np.concatenate([own[:, None], others], axis=1)]  # [N, OBJECTS]
        return (shown[..., None] == np.arange(num)).any(axis=1)

    def places(self, u: Array) -> Array:
        """Upper left corners int `[OBJECTS, frames, 2]` of three uniform numbers each: a place and a direction."""
        room = self.side - np.array(self.shape[:2])
        turn = 2.0 * np.pi * u[:, 2]
        velocity = SPEED * np.stack([np.sin(turn), np.cos(turn)], axis=-1)
        way = u[:, None, :2] + np.arange(self.frames)[:, None] * velocity[:, None]  # [OBJECTS, frames, 2]
        way = way % 2.0
        return np.rint(np.minimum(way, 2.0 - way) * room).astype(int)
