"""From what users name to a `Source`: TFDS data sets, folders of images, one image file, NumPy arrays."""

import os
from pathlib import Path

import numpy as np

from kerasgen.data.folders import folder_source, parse_split, part_of
from kerasgen.data.sources import Source, no_split
from kerasgen.data.tables import is_normal, load_table
from kerasgen.data.tfds import folder_builder, named_builder, tfds_source
from kerasgen.errors import DatasetError, InputError
from kerasgen.modalities import Images
from kerasgen.typing import Any


def image_folder(source: Any) -> Path | None:
    """The path of a source that is a folder of images, else `None`."""
    path = Path(source).expanduser() if isinstance(source, (str, os.PathLike)) else None
    return path if path and path.is_dir() and not (path / "dataset_info.json").is_file() else None


def open_source(source: Any, split: str, labels: Any = None, data_dir: str | os.PathLike | None = None) -> Source:
    """A `Source` for a TFDS name or folder, a folder of images, an image file, a CSV file, an array or a pair of them.

    Raises:
        InputError: the source is none of these, or an array that is not one of images or labels.
        DatasetError: the source does not exist, cannot be read, or does not have the split or the labels.
    """
    if not isinstance(source, (str, os.PathLike)):
        return _arrays(source, labels)
    if not isinstance(split, str):
        raise InputError(f"split is {split!r}; expected a name such as 'train' or 'train[:90%]'.")
    path = Path(source).expanduser()
    if (path / "dataset_info.json").is_file():
        return tfds_source(str(source), lambda tfds: folder_builder(tfds, path), split, labels)
    if image_folder(path):
        _check_unnamed(labels)
        return folder_source(path, split, labels)
    if path.is_file() and path.suffix.lower() == ".csv":
        return _table(path, split, labels)
    if path.is_file():
        _check_unnamed(labels)
        return Source(str(path), 1, lambda: ([path], None), one_shape=False)
    if isinstance(source, os.PathLike) or path.is_absolute() or source.startswith((".", "~")):
        raise DatasetError(f"there is no folder {source}; expected a TFDS folder, a folder of images or an image file.")
    return tfds_source(source, lambda tfds: named_builder(tfds, source, data_dir), split, labels)


def _table(path, split, labels):
    """The rows of a CSV file, or a part of them ("all[:60%]") by a hash of their numbers; `labels` names a column.

    A label of 0, or what else `tables.NORMAL` has, is normal, 0, and any other 1.
    """
    name, *ends = parse_split(split)
    if name not in ("all", "train"):
        raise no_split(path, name, ["all"])
    rows, found, _ = load_table(path, labels or None)
    taken = list(part_of([str(index) for index in range(len(rows))], *ends))
    numbers = None if found is None else (~is_normal(found)[taken]).astype(np.int32)
    return Source(f"{path}, {split}", len(taken), lambda: (rows[taken], numbers))


def _check_unnamed(labels):
    if labels is not None and labels is not False:
        raise InputError(f"labels is {labels!r}; only TFDS data sets have named labels, give None or False.")


def _arrays(source, labels):
    _check_unnamed(labels)
    images, given = source if isinstance(source, tuple) and len(source) == 2 else (source, None)
    if not hasattr(images, "__array__"):
        raise InputError(
            f"the data is a {type(images).__name__}; expected the name of a TFDS data set, a folder, an array of "
            "images or a pair (images, labels) of arrays."
        )
    images = np.asarray(images)
    images = images[..., None] if images.ndim == 3 else images
    if images.ndim != 4 or images.shape[3] not in (1, 3):
        raise InputError(f"the array has shape {images.shape}; expected [N, H, W] or [N, H, W, 1 or 3].")
    modality = Images(images.shape[1:])
    images = modality.to_storage(modality.check(images))
    numbers, num = None if given is None or labels is False else np.asarray(given), len(images)
    if numbers is not None:
        if numbers.shape[:1] != (num,) or numbers.dtype.kind not in {1: "iu", 2: "b"}.get(numbers.ndim, ""):
            have = f"labels have shape {numbers.shape} and dtype {numbers.dtype}"
            raise InputError(f"{have}; expected {num} integers, one an image, or {num} rows of bools, its attributes.")
        numbers = numbers.astype(np.int32)
    return Source("the array", num, lambda: (images, numbers))
