"""Where images come from: TFDS data sets by name or folder, folders of images, NumPy arrays.

Each source gives its images in a fixed order by index. TFDS splits are read when their images are first asked for, and
stay encoded in memory: a split of CelebA takes about 1.4 GB, Fashion-MNIST 33 MB. Folders stay on disk.
"""

import difflib
import functools
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from kerasgen.data.images import decode, header, prepare, prepare_array
from kerasgen.errors import DatasetError, InputError
from kerasgen.modalities import Images
from kerasgen.typing import Any, Array, Callable, Sequence

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
UNREADABLE = (OSError, EOFError, SyntaxError, ValueError, Image.DecompressionBombError)  # what Pillow raises

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

    def __post_init__(self):
        if self.num == 0:
            raise DatasetError(f"{self.name} has no images; ask for another split or a larger part of it.")

    def brought_to(self, size: Size, channels: int | None) -> "Source":
        """The same images in this size and so many channels."""
        return replace(self, size=size, channels=channels or self.channels)

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
        except UNREADABLE as error:
            raise self._unreadable(index, error) from error

    def stack(self, indices: Sequence[int]) -> Array:
        """uint8 `[N, H, W, C]` of the images at the indices. Raises `DatasetError` if their shapes differ."""
        first = self.image(int(indices[0]))
        if isinstance(self.images, np.ndarray) and self.images.shape[1:] == first.shape:
            return self.images[np.asarray(indices)]
        images = np.empty((len(indices), *first.shape), np.uint8)
        for place, index in enumerate(indices):
            image = self.image(int(index))
            self._check_same(first.shape, image.shape)
            images[place] = image
        return images

    def decoded(self) -> "Source":
        """The same images, decoded and of their final shape, in memory."""
        contents: Any = self.stack(range(self.num)), self.labels
        return Source(self.name, self.num, lambda: contents, self.class_names)

    def check_headers(self) -> None:
        """Raises `DatasetError` for a file that is no image, or if images would come out in different shapes."""
        first = None
        for index, item in enumerate(() if self.one_shape else self.images):
            try:
                height, width, depth = header(item)
            except UNREADABLE as error:
                raise self._unreadable(index, error) from error
            shape = (*(self.size or (height, width)), self.channels or depth)
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


def open_source(source: Any, split: str, labels: Any = None, data_dir: str | os.PathLike | None = None) -> Source:
    """A `Source` for a TFDS name, a TFDS folder, a folder of images, an array, or a pair of arrays.

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
        return _tfds(str(source), lambda tfds: _folder_builder(tfds, path), split, labels)
    if path.is_dir():
        return _folder(path, split, labels)
    if isinstance(source, os.PathLike) or path.is_absolute() or source.startswith((".", "~")):
        raise DatasetError(f"there is no folder {source}; expected a TFDS folder or a folder of images.")
    return _tfds(source, lambda tfds: _named_builder(tfds, source, data_dir), split, labels)


def _check_unnamed(labels):
    if labels is not None and labels is not False:
        raise InputError(f"labels is {labels!r}; only TFDS data sets have named labels, give None or False.")


def _no_split(name, split, known):
    return DatasetError(f"{name} has no split {split!r}; expected one of {known}, or a part such as train[:90%].")


# NumPy arrays


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


# Folders of images


def _split_slice(split, num, name, known):
    """The slice that "train[10:20]", "train[:90%]" or "train" takes of `num` examples; checks the split's name."""
    match = re.fullmatch(r"([\w.-]+)(?:\[(-?\d+%?)?:(-?\d+%?)?\])?", split)
    if match is None or match[1] not in known:
        raise _no_split(name, split, known)
    ends = {end: round(num * int(end[:-1]) / 100) if end[-1] == "%" else int(end) for end in match.group(2, 3) if end}
    return slice(*map(ends.get, match.group(2, 3)))


def _image_files(root):
    """Images below a folder by sorted path; hidden files and folders are left out."""
    paths = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    return [p for p in paths if not any(part.startswith(".") for part in p.relative_to(root).parts)]


def _folder(path, split, labels):
    _check_unnamed(labels)
    split_name = split.split("[")[0]
    folders = sorted(p.name for p in path.iterdir() if p.is_dir())
    known = [name for name in folders if name in ("train", "validation", "test")] or ["train", "all"]
    known += [name for name in folders if name == split_name and name not in known]
    root = path / split_name if split_name in folders else path
    files = _image_files(root)
    taken = _split_slice(split, len(files), path, known)
    if not files:
        versions = sorted(str(p.parent) for p in path.glob("*/dataset_info.json"))
        advice = f"give one of the TFDS folders in it, {versions}" if versions else f"expected files of {SUFFIXES}"
        raise DatasetError(f"{root} has no images; {advice}.")
    images, class_names, numbers = files[taken], None, None
    classes = [file.relative_to(root).parts[0] if file.parent != root else "" for file in files]
    if labels is not False and any(classes):
        if "" in classes:
            stray = f"images both in sub-folders (classes) and beside them, such as {files[classes.index('')].name}"
            raise DatasetError(f"{root} has {stray}; move them, or load with labels=False.")
        found, numbers = np.unique(classes, return_inverse=True)
        class_names, numbers = found.tolist(), numbers[taken].astype(np.int32)
    return Source(f"{path}, {split}", len(images), lambda: (images, numbers), class_names, one_shape=False)


# TensorFlow Datasets


def _brief(error):
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _folder_builder(tfds, path):
    try:
        return tfds.builder_from_directory(path)
    except Exception as error:  # whatever is wrong in its files, the folder is to be replaced
        expected = "dataset_info.json, features.json and the files of its splits, as TensorFlow Datasets writes them"
        raise DatasetError(f"{path} is not a readable TFDS folder ({_brief(error)}); expected {expected}.") from error


def _named_builder(tfds, name, data_dir):
    where = Path(data_dir or os.environ.get("TFDS_DATA_DIR") or tfds.core.constants.DATA_DIR).expanduser()
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except (tfds.core.registered.DatasetNotFoundError, ValueError, AssertionError, ImportError, OSError) as error:
        have = sorted(p.name for p in where.iterdir() if p.is_dir()) if where.is_dir() else []
        known = {*have, *tfds.list_builders()}
        base = re.split("[/:]", name)[0]
        if base in known:
            raise DatasetError(f"{name} cannot be opened ({_brief(error)}); give another version or config.") from error
        near = " or ".join(difflib.get_close_matches(base, sorted(known), 3))
        raise DatasetError(
            f"there is no folder {name!r}, and no data set of that name in {where} (there: {have[:20]}) or in "
            f"TensorFlow Datasets{f'; did you mean {near}?' if near else '.'} Or give a folder of images."
        ) from error
    if not Path(builder.data_dir).exists():
        try:
            builder.download_and_prepare()
        except Exception as error:  # any failure of a download, of whatever kind, has the same remedy
            raise DatasetError(
                f"{name} is not at {builder.data_dir} and could not be downloaded ({_brief(error)}). Put the prepared "
                "data set there, as TensorFlow Datasets writes it on another machine (sources with a quota, such as "
                "CelebA's, may work on another day), or give a folder of images instead."
            ) from error
    return builder


def _tfds(name, make_builder, split, labels):
    import tensorflow_datasets as tfds

    builder = make_builder(tfds)
    features = builder.info.features
    image_keys = [key for key, feature in features.items() if isinstance(feature, tfds.features.Image)]
    if len(image_keys) != 1:
        raise DatasetError(f"{name} has {len(image_keys)} image features ({sorted(features)}); expected exactly one.")
    image = features[image_keys[0]]
    if image.np_dtype != np.uint8:
        raise DatasetError(f"the images of {name} have dtype {image.np_dtype}; expected uint8.")
    label_key = _label_key(tfds, name, features, labels)
    try:
        num = builder.info.splits[split].num_examples
    except (ValueError, KeyError, AssertionError) as error:
        raise _no_split(name, split, list(builder.info.splits)) from error
    class_names = getattr(features[label_key], "names", None) if label_key else None
    channels = image.shape[-1] if image.shape[-1] in (1, 3) else None
    read = functools.partial(_read_tfds, tfds, builder, split, image_keys[0], label_key)
    return Source(f"{name}, {split}", num, read, class_names, channels, one_shape=None not in image.shape)


def _read_tfds(tfds, builder, split, image_key, label_key):
    """Encoded images, and labels int32 or `None`, of a split in file order."""
    import tensorflow as tf

    keys = {image_key, label_key} - {None}
    images, numbers = [], []
    try:
        dataset = builder.as_dataset(
            split=split,
            shuffle_files=False,
            decoders=tfds.decode.PartialDecoding(keys, decoders={image_key: tfds.decode.SkipDecoding()}),
            read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
        )
        for batch in tfds.as_numpy(dataset.batch(1024)):
            images.extend(batch[image_key].tolist())
            if label_key:
                numbers.append(batch[label_key].astype(np.int32))
    except (OSError, ValueError, AssertionError, tf.errors.OpError) as error:
        raise DatasetError(
            f"the split {split!r} in {builder.data_dir} cannot be read ({_brief(error)}); prepare the data set again."
        ) from error
    return images, np.concatenate(numbers) if label_key else None


def _label_key(tfds, name, features, labels):
    """The feature that holds the labels: the one named, else the only class label, else `None`."""
    classes = sorted(key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel))
    if labels is False:
        return None
    if labels is None:
        return classes[0] if len(classes) == 1 else None
    if labels not in features:
        raise DatasetError(f"{name} has no class label {labels!r}; its class labels are {classes}.")
    feature = features[labels]
    rank = len(feature.shape) if isinstance(feature, tfds.features.Tensor) else None
    if np.dtype(feature.np_dtype).kind not in {0: "iub", 1: "b"}.get(rank, "") or None in feature.shape:
        raise DatasetError(
            f"the feature {labels!r} of {name} has shape {feature.shape} and dtype {feature.np_dtype}; expected an "
            f"integer or a vector of bools. Its class labels are {classes}; labels=False loads images alone."
        )
    return labels
