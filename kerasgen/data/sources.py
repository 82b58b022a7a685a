"""`Source`: images by index, with labels, whatever they come from."""

import functools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kerasgen.data.images import decode, header, prepare, prepare_array
from kerasgen.errors import DatasetError
from kerasgen.typing import Any, Array, Callable, Sequence

Size = tuple[int, int] | None


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

        def read():
            images, labels = self.contents
            if labels is None or labels.ndim != 2 or max(columns) >= labels.shape[1]:
                have = "no attributes" if labels is None or labels.ndim != 2 else f"{labels.shape[1]} attributes"
                raise DatasetError(f"columns is {list(columns)}; {self.name} has {have}.")
            return images, labels[:, list(columns)]

        return replace(self, read=read)

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
        item = self.images[index]
        if isinstance(item, np.ndarray):
            return prepare_array(item, self.size, self.channels)
        try:
            return prepare(decode(item), self.size, self.channels)
        except Exception as error:  # of whatever kind: Pillow's readers raise many
            raise self._unreadable(index, error) from error

    def stack(self, indices: Sequence[int]) -> Array:
        """uint8 `[N, H, W, C]` of the images at the indices. Raises `DatasetError` if their shapes differ."""
        first = self.image(int(indices[0]))
        if isinstance(self.images, np.ndarray) and self.images.shape[1:] == first.shape:
            images = self.images[np.asarray(indices)]
        else:
            images = np.empty((len(indices), *first.shape), np.uint8)
            for place, index in enumerate(indices):
                image = self.image(int(index))
                self._check_same(first.shape, image.shape)
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
                raise self._unreadable(index, error) from error
            first = first or shape
            self._check_same(first, shape)

    def _check_same(self, first, shape):
        if shape != first:
            what = f"{self.name} has images of shapes {first} and {shape}"
            raise DatasetError(f"{what}; give image_size and channels to bring them to one.")

    def _unreadable(self, index, error):
        item = self.images[index]
        which = item if isinstance(item, Path) else f"image {index} of {self.name}"
        return DatasetError(f"{which} cannot be decoded ({error}); replace or remove it.")


def no_split(name: str | Path, split: str, known: Sequence[str]) -> DatasetError:
    """The error for a split that a source does not have."""
    return DatasetError(f"{name} has no split {split!r}; expected one of {known}, or a part such as train[:90%].")
