"""`Source`: images by index, with labels, whatever they come from."""

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kerasgen import noise
from kerasgen.data.images import decode, header, prepare, prepare_array
from kerasgen.errors import DatasetError
from kerasgen.typing import Any, Array, Callable, Sequence

Size = tuple[int, int] | None
KEPT = 2**29  # bytes of decoded images, while patches are taken of them


@dataclass(eq=False)
class Source:
    """`num` images by index, their labels (int32 `[num]`, attributes `[num, A]` or `None`), names of classes or `None`.

    `read()` gives images, an array `[num, H, W, C]` or a list of paths or of encoded bytes, and labels. Images come out
    in `size` and `channels`; `None` leaves them as they are. `one_shape` says that all are known to have one shape.
    Raises `DatasetError` if there is no image, or one that cannot be decoded.
    """

    name: str
    num: int
    read: Callable[[], tuple[Sequence, Array | None]]
    class_names: list[str] | None = None
    channels: int | None = None
    one_shape: bool = True
    size: Size = None
    change: Callable[[Array], Array] | None = None  # of images `[N, H, W, C]`, once they are in shape
    stream: Callable[[], Iterator[tuple[Any, Any]]] | None = None  # the same images and labels, one after the other

    def __post_init__(self):
        if self.num == 0:
            raise DatasetError(f"{self.name} has no images; ask for another split or a larger part of it.")

    def brought_to(self, size: Size, channels: int | None) -> "Source":
        """The same images in this size and so many channels."""
        return replace(self, size=size, channels=channels or self.channels)

    def with_columns(self, columns: Sequence[int] | None) -> "Source":
        """The same images with these of their attributes. Raises `DatasetError`, once they are read: there are none."""
        if columns is None:
            return self

        def taken(labels, rank):
            if labels is None or labels.ndim != rank or max(columns) >= labels.shape[-1]:
                have = "no attributes" if labels is None or labels.ndim != rank else f"{labels.shape[-1]} attributes"
                raise DatasetError(f"columns is {list(columns)}; {self.name} has {have}.")
            return labels[..., list(columns)]

        def read():
            images, labels = self.contents
            return images, taken(labels, 2)

        def stream():
            return ((image, taken(label, 1)) for image, label in self.one_by_one())

        return replace(self, read=read, stream=stream)

    def patches(self, side: int, num: int) -> "Source":
        """`num` square patches of each image: see `Patches`."""

        def read():
            return Patches(self, side, num), None if self.labels is None else np.concatenate([self.labels] * num)

        return Source(self.name, num * self.num, read, self.class_names)

    @functools.cached_property
    def contents(self) -> tuple[Sequence, Array | None]:
        return self.read()

    @property
    def images(self) -> Sequence:
        return self.contents[0]

    @property
    def labels(self) -> Array | None:
        return self.contents[1]

    def image(self, index: int) -> Array:
        """uint8 `[H, W, C]`."""
        return self.prepared(index, self.images[index])

    def prepared(self, index: int, item: Any) -> Array:
        """The image of an index, of what `read` or `stream` gave for it."""
        if isinstance(item, np.ndarray):
            return prepare_array(item, self.size, self.channels)
        try:
            return prepare(decode(item), self.size, self.channels)
        except Exception as error:  # of whatever kind: Pillow's readers raise many
            raise self._unreadable(item, index, error) from error

    def one_by_one(self) -> Iterator[tuple[Any, Any]]:
        """What `read` gives, image and label (or `None`) after each other; not all at once where there is a stream."""
        if self.stream is not None:
            return self.stream()
        return zip(self.images, itertools.repeat(None) if self.labels is None else self.labels, strict=False)

    def stack(self, indices: Sequence[int]) -> Array:
        """uint8 `[N, H, W, C]` of the images at the indices. Raises `DatasetError` if their shapes differ."""
        first = self.image(int(indices[0]))
        if isinstance(self.images, np.ndarray) and self.images.shape[1:] == first.shape:
            images = self.images[np.asarray(indices)]
        else:
            images = np.empty((len(indices), *first.shape), first.dtype)
            for place, index in enumerate(indices):
                image = self.image(int(index))
                self.check_same(first.shape, image.shape)
                images[place] = image
        return images if self.change is None else self.change(images)

    def decoded(self) -> "Source":
        """The same images, decoded and of their final shape, in memory."""
        contents: Any = self.stack(range(self.num)), self.labels
        return Source(self.name, self.num, lambda: contents, self.class_names)

    def check_headers(self) -> None:
        """Raises `DatasetError` for a file that is no image, or if images would come out in different shapes."""
        first = None
        for index, item in enumerate(() if self.one_shape else self.images):
            try:
                shape = header(item, self.size, self.channels)
            except Exception as error:  # of whatever kind: Pillow's readers raise many
                raise self._unreadable(item, index, error) from error
            first = first or shape
            self.check_same(first, shape)

    def check_same(self, first: tuple[int, ...], shape: tuple[int, ...]) -> None:
        """Raises `DatasetError`: two images have different shapes."""
        if shape != first:
            what = f"{self.name} has images of shapes {first} and {shape}"
            raise DatasetError(f"{what}; give image_size and channels to bring them to one.")

    def _unreadable(self, item, index, error):
        which = item if isinstance(item, Path) else f"image {index} of {self.name}"
        return DatasetError(f"{which} cannot be decoded ({error}); replace or remove it.")


def no_split(name: str | Path, split: str, known: Sequence[str]) -> DatasetError:
    """The error for a split that a source does not have."""
    return DatasetError(f"{name} has no split {split!r}; expected one of {known}, or a part such as train[:90%].")


class Patches(Sequence):
    """`num` patches `[side, side, C]` of each image of a source, at random places, turned and mirrored at random.

    First one of each image, then the next of each; the number of a patch tells all of it, in each epoch alike. Raises
    `DatasetError`: an image is too small.
    """

    def __init__(self, source: Source, side: int, num: int):
        self.source, self.side, self.num = source, side, num
        self.image = functools.lru_cache(max(1, KEPT // source.image(0).nbytes))(source.image)

    def __len__(self) -> int:
        return self.num * self.source.num

    def __getitem__(self, index: int) -> Array:
        image, side = self.image(index % self.source.num), self.side
        height, width = image.shape[:2]
        if min(height, width) < side:
            raise DatasetError(f"{self.source.name} has an image of {height} x {width}; patches are {side} x {side}.")
        ends = np.array([height - side + 1, width - side + 1, 8])
        top, left, turn = np.ceil(noise.uniform(index, index + 1, (3,), 0)[0] * ends).astype(int) - 1
        patch = np.rot90(image[top : top + side, left : left + side], turn % 4)
        return patch[:, ::-1] if turn >= 4 else patch
