"""Where images come from: TFDS data sets by name or folder, folders of images, NumPy arrays.

Each source gives its images in a fixed order by index. TFDS splits and folders stay encoded until an image is asked
for: a split of CelebA takes about 1.4 GB of memory, Fashion-MNIST 33 MB.
"""

import difflib
import os
import re
from pathlib import Path

import numpy as np

from kerasgen.data.images import decode, prepare, prepare_array
from kerasgen.errors import DatasetError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


class Source:
    """`num` images by index, their labels `[num]` (int32) or `None`, and the names of the classes or `None`."""

    def __init__(self, name, images, labels=None, class_names=None):
        self.name = name
        self.images = images
        self.labels = labels
        self.class_names = class_names

    @property
    def num(self):
        return len(self.images)

    def image(self, index, size, channels):
        """uint8 `[H, W, C]`. Raises `DatasetError` for an image that cannot be decoded."""
        item = self.images[index]
        if isinstance(item, np.ndarray):
            return prepare_array(item, size, channels)
        try:
            return prepare(decode(item), size, channels)
        except (OSError, SyntaxError, ValueError) as error:
            which = item if isinstance(item, Path) else f"image {index} of {self.name}"
            raise DatasetError(f"{which} cannot be decoded ({error}); replace or remove it.") from error

    def stack(self, indices, size, channels):
        """uint8 `[N, H, W, C]` of the images at the indices. Raises `DatasetError` if their shapes differ."""
        images = [self.image(int(index), size, channels) for index in indices]
        shapes = sorted({image.shape for image in images})
        if len(shapes) > 1:
            raise DatasetError(
                f"{self.name} has images of shapes {shapes[0]} and {shapes[-1]}; give image_size and channels to bring "
                "them to one."
            )
        return np.stack(images)


def open_source(source, split, labels=None, data_dir=None):
    """A `Source` for a TFDS name, a TFDS folder, a folder of images, an array, or a pair of arrays."""
    if isinstance(source, (str, os.PathLike)):
        path = Path(source).expanduser()
        if (path / "dataset_info.json").is_file():
            return _tfds(str(source), lambda tfds: tfds.builder_from_directory(path), split, labels)
        if path.is_dir():
            return _folder(path, split, labels)
        if isinstance(source, os.PathLike) or len(path.parts) > 1 or str(source).startswith((".", "~")):
            raise DatasetError(f"there is no folder {source}; expected a TFDS folder or a folder of images.")
        return _tfds(source, lambda tfds: _named_builder(tfds, source, data_dir), split, labels)
    return _arrays(source, labels)


# NumPy arrays


def _arrays(source, labels):
    images, given = source if isinstance(source, tuple) and len(source) == 2 else (source, None)
    if not hasattr(images, "__array__"):
        raise DatasetError(
            f"the data is a {type(images).__name__}; expected the name of a TFDS data set, a folder, an array of "
            "images or a pair (images, labels) of arrays."
        )
    images = np.asarray(images)
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape:
        raise DatasetError(f"the array has shape {images.shape}; expected [N, H, W] or [N, H, W, 1 or 3], none empty.")
    if images.dtype.kind == "f":
        if not (np.isfinite(images).all() and images.min() >= 0.0 and images.max() <= 1.0):
            raise DatasetError("float images must be in [0, 1] without NaN; scale them, or give uint8 in 0..255.")
        images = np.rint(images * 255.0).astype(np.uint8)
    if images.dtype != np.uint8:
        raise DatasetError(f"the array has dtype {images.dtype}; expected uint8 in 0..255 or float in [0, 1].")
    if given is None or labels is False:
        return Source("the array", images)
    given = np.asarray(given)
    if given.shape != (len(images),) or given.dtype.kind not in "iu":
        raise DatasetError(
            f"labels have shape {given.shape} and dtype {given.dtype}; expected {len(images)} integers, one an image."
        )
    return Source("the array", images, given.astype(np.int32))


# Folders of images


def _split_slice(split, num, name, known):
    """The slice that "train[10:20]", "train[:90%]" or "train" takes of `num` examples; checks the split's name."""
    match = re.fullmatch(r"([\w-]+)(?:\[(-?\d+%?)?:(-?\d+%?)?\])?", split)
    if match is None or match[1] not in known:
        raise DatasetError(f"{name} has no split {split!r}; expected one of {known}, or a part such as train[:90%].")
    ends = [
        None if end is None else round(num * int(end[:-1]) / 100) if end[-1] == "%" else int(end)
        for end in match.group(2, 3)
    ]
    return slice(*ends)


def _folder(path, split, labels):
    name = split.split("[")[0]
    splits = sorted(p.name for p in path.iterdir() if p.is_dir() and p.name in ("train", "validation", "test"))
    root = path / name if name in splits else path
    known = splits or ["train", "all"]
    files = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    taken = _split_slice(split, len(files), path, known)
    if not files:
        raise DatasetError(f"{root} has no images; expected files ending in {', '.join(SUFFIXES)}.")
    folders = [file.relative_to(root).parts[0] if file.parent != root else None for file in files]
    class_names = sorted(set(filter(None, folders)))
    if labels is False or not class_names:
        return Source(str(path), files[taken])
    if None in folders:
        raise DatasetError(
            f"{root} has images both in sub-folders (classes) and beside them, such as "
            f"{files[folders.index(None)].name}; move them, or load with labels=False."
        )
    numbers = np.array([class_names.index(folder) for folder in folders], np.int32)
    return Source(str(path), files[taken], numbers[taken], class_names)


# TensorFlow Datasets


def _named_builder(tfds, name, data_dir):
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except (tfds.core.registered.DatasetNotFoundError, ValueError) as error:
        where = Path(data_dir or os.environ.get("TFDS_DATA_DIR") or tfds.core.constants.DATA_DIR).expanduser()
        have = sorted(p.name for p in where.iterdir() if p.is_dir()) if where.is_dir() else []
        near = difflib.get_close_matches(name.split(":")[0], {*have, *tfds.list_builders()}, 3)
        raise DatasetError(
            f"there is no data set {name!r} in {where} or in TensorFlow Datasets"
            + (f"; did you mean {' or '.join(near)}?" if near else ".")
            + " Or give a folder of images."
        ) from error
    if not Path(builder.data_dir).exists():
        try:
            builder.download_and_prepare()
        except Exception as error:  # any failure of a download, of whatever kind, has the same remedy
            raise DatasetError(
                f"{name} is not at {builder.data_dir} and could not be downloaded "
                f"({type(error).__name__}: {' '.join(str(error).split())[:200]}). Put the prepared data set there, as "
                "TensorFlow Datasets writes it on another machine (sources with a quota, such as CelebA's, may work "
                "on another day), or give a folder of images instead."
            ) from error
    return builder


def _tfds(name, make_builder, split, labels):
    import tensorflow_datasets as tfds

    try:
        builder = make_builder(tfds)
    except (OSError, KeyError, AttributeError) as error:
        raise DatasetError(f"{name} is not a readable TFDS folder: {error}") from error
    features = builder.info.features
    image_keys = [key for key, feature in features.items() if isinstance(feature, tfds.features.Image)]
    if len(image_keys) != 1:
        raise DatasetError(f"{name} has {len(image_keys)} image features ({list(features)}); expected exactly one.")
    label_key = _label_key(tfds, name, features, labels)
    key = image_keys[0]
    known = list(builder.info.splits)
    if split.split("[")[0] not in known:
        raise DatasetError(f"{name} has no split {split!r}; expected one of {known}, or a part such as train[:90%].")
    try:
        dataset = builder.as_dataset(
            split=split,
            shuffle_files=False,
            decoders=tfds.decode.PartialDecoding(
                {k: features[k] for k in (key, label_key) if k}, decoders={key: tfds.decode.SkipDecoding()}
            ),
            read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
        )
    except (ValueError, AssertionError) as error:
        raise DatasetError(f"the split {split!r} of {name} cannot be read: {error}") from error
    images, numbers = [], []
    for example in tfds.as_numpy(dataset):
        images.append(example[key])
        if label_key:
            numbers.append(example[label_key])
    if not images:
        raise DatasetError(f"the split {split!r} of {name} is empty.")
    if not label_key:
        return Source(name, images)
    return Source(name, images, np.array(numbers, np.int32), features[label_key].names)


def _label_key(tfds, name, features, labels):
    classes = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    if labels is False:
        return None
    if labels is None:
        return classes[0] if len(classes) == 1 else None
    if labels not in classes:
        raise DatasetError(f"{name} has no class label {labels!r}; its class labels are {classes}.")
    return labels
