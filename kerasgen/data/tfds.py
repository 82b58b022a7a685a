"""Data sets in the form of TensorFlow Datasets, by name or folder.

A split is read when its images are first asked for, and stays encoded in memory: a split of CelebA takes about 1.4 GB,
Fashion-MNIST 33 MB.
"""

import difflib
import functools
import os
import re
from pathlib import Path

import numpy as np

from kerasgen.data.sources import Source, no_split
from kerasgen.errors import DatasetError
from kerasgen.typing import Any, Callable


def _brief(error):
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def folder_builder(tfds: Any, path: Path) -> Any:
    """The builder of a folder that TensorFlow Datasets has written."""
    try:
        return tfds.builder_from_directory(path)
    except Exception as error:  # whatever is wrong in its files, the folder is to be replaced
        expected = "dataset_info.json, features.json and the files of its splits, as TensorFlow Datasets writes them"
        raise DatasetError(f"{path} is not a readable TFDS folder ({_brief(error)}); expected {expected}.") from error


def named_builder(tfds: Any, name: str, data_dir: str | os.PathLike | None) -> Any:
    """The builder of a data set of that name, downloaded if it must be."""
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


def tfds_source(name: str, make_builder: Callable[[Any], Any], split: str, labels: Any) -> Source:
    """The `Source` of a split; `make_builder` gets the module tensorflow_datasets."""
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
        raise no_split(name, split, list(builder.info.splits)) from error
    class_names = getattr(features[label_key], "names", None) if label_key else None
    channels = image.shape[-1] if image.shape[-1] in (1, 3) else None
    stream = functools.partial(_stream_tfds, tfds, builder, split, image_keys[0], label_key)

    def read():
        images, numbers = zip(*stream(), strict=True)
        return list(images), np.stack(numbers) if label_key else None

    one_shape = None not in image.shape
    return Source(f"{name}, {split}", num, read, class_names, channels, one_shape, stream=stream)


def _stream_tfds(tfds, builder, split, image_key, label_key):
    """Encoded images and labels, int32 or `None`, of a split in file order."""
    import tensorflow as tf

    keys = {image_key, label_key} - {None}
    try:
        dataset = builder.as_dataset(
            split=split,
            shuffle_files=False,
            decoders=tfds.decode.PartialDecoding(keys, decoders={image_key: tfds.decode.SkipDecoding()}),
            read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
        )
        for batch in tfds.as_numpy(dataset.batch(1024)):
            numbers = batch[label_key].astype(np.int32) if label_key else [None] * len(batch[image_key])
            yield from zip(batch[image_key].tolist(), numbers, strict=True)
    except (OSError, ValueError, AssertionError, tf.errors.OpError) as error:
        raise DatasetError(
            f"the split {split!r} in {builder.data_dir} cannot be read ({_brief(error)}); prepare the data set again."
        ) from error


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
