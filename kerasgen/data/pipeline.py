"""From a source to batches: arrays, or a `tf.data.Dataset` whose order is a function of the seed and the epoch."""

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerasgen import inputs
from kerasgen.data.batches import batches, check_index
from kerasgen.data.disk import on_disk
from kerasgen.data.folders import shown_split, splits_for_recipe
from kerasgen.data.images import ImageSize, check_form
from kerasgen.data.opening import image_folder, open_source
from kerasgen.data.pairs import PAIRS
from kerasgen.data.sources import Source
from kerasgen.data.texts import text_source
from kerasgen.errors import DatasetError, InputError
from kerasgen.modalities import Tokens
from kerasgen.typing import Any, Array, Sequence

if TYPE_CHECKING:
    import tensorflow as tf

Feature = str | bool | None  # the labels to load
Folder = str | os.PathLike | None


def _open(source, split, image_size, channels, labels, data_dir, columns=None, patch_size=None, patches=1) -> Source:
    """A source that gives images of this size (an int or a pair) and so many channels, or patches of them."""
    size = check_form(image_size, channels)
    if columns is not None:
        if len(columns) == 0:
            raise InputError("columns is empty; expected numbers of attributes, or None for all.")
        columns = [check_index("columns", column, 0) for column in columns]
    opened = open_source(source, split, labels, data_dir).brought_to(size, channels).with_columns(columns)
    return opened if patch_size is None else _in_patches(opened, patch_size, patches)


def _in_patches(opened, patch_size, patches):
    return opened.patches(check_index("patch_size", patch_size, 1), check_index("patches", patches, 1))


def num_batches_of(opened: Source, batch_size: int, drop_remainder: bool) -> int:
    """Batches in an epoch. Raises `DatasetError` if there would be none."""
    check_index("batch_size", batch_size, 1)
    if not drop_remainder:
        return -(-opened.num // batch_size)
    if opened.num < batch_size:
        have = f"{opened.name} has {opened.num} images, fewer than a batch of {batch_size}"
        raise DatasetError(f"{have}; lower batch_size (of a recipe, training.batch_size).")
    return opened.num // batch_size


def load_arrays(
    source: Any,
    split: str = "train",
    image_size: ImageSize = None,
    *,
    channels: int | None = None,
    labels: Feature = None,
    columns: Sequence[int] | None = None,
    patch_size: int | None = None,
    patches: int = 1,
    limit: int | None = None,
    data_dir: Folder = None,
) -> tuple[Array, Array | None]:
    """Images uint8 `[N, H, W, C]` and labels (int32 `[N]`, attributes `[N, A]` or `None`) of a split, in its own order.

    Arguments and errors as in `load`; `limit` takes the first so many. TensorFlow is imported for TFDS sources only.
    """
    if limit is not None:
        check_index("limit", limit, 1)
    opened = _open(source, split, image_size, channels, labels, data_dir, columns, patch_size, patches)
    return opened.stack(range(opened.num)[:limit]), None if opened.labels is None else opened.labels[:limit]


def steps_per_epoch(
    source: Any, split: str, batch_size: int, drop_remainder: bool = False, data_dir: Folder = None, patches: int = 1
) -> int:
    """Batches in an epoch of `load` with the same arguments; no image is read. Errors as in `load`."""
    opened = _in_patches(open_source(source, split, False, data_dir), 1, patches)
    return num_batches_of(opened, batch_size, drop_remainder)


def load_whole(
    source: Any, split: str = "train", channels: int | None = None, limit: int | None = None, data_dir: Folder = None
) -> list[Array]:
    """The images of a split, each of its own sides: uint8 `[H, W, C]`. Arguments and errors as in `load_arrays`."""
    opened = _open(source, split, None, channels, False, data_dir)
    return [opened.image(index) for index in range(opened.num)[:limit]]


def class_names(
    source: Any, split: str = "train", *, labels: Feature = None, data_dir: Folder = None
) -> list[str] | None:
    """Names of the classes, or `None` where they have none; no image is read. Errors as in `load`."""
    return open_source(source, split, labels, data_dir).class_names


def recipe_splits(source: Any) -> dict[str, str] | None:
    """What stands for "train", "validation" and "test" of a recipe in a folder of images; `None` for other sources.

    Its own splits; where it has none to validate and test on, 90 % and 10 % of its images, which a hash of their paths
    tells apart. Raises `DatasetError`: it cannot be told which of its sub-folders are splits.
    """
    return splits_for_recipe(folder) if (folder := image_folder(source)) else None


def default_split(source: Any) -> str:
    """The split to show something of: "test", or the next best of a folder of images, which may have "all" alone."""
    return shown_split(folder) if (folder := image_folder(source)) else "test"


def load(
    source: Any,
    split: str = "train",
    image_size: ImageSize = None,
    batch_size: int = 64,
    *,
    channels: int | None = None,
    labels: Feature = None,
    columns: Sequence[int] | None = None,
    patch_size: int | None = None,
    patches: int = 1,
    shuffle: bool = False,
    seed: int = 0,
    flip: bool = False,
    cache: bool | str | os.PathLike = False,
    drop_remainder: bool = False,
    repeat: bool = False,
    first_epoch: int = 0,
    first_batch: int = 0,
    shard: tuple[int, int] = (0, 1),
    data_dir: Folder = None,
) -> "tf.data.Dataset":
    """A `tf.data.Dataset` of uint8 images `[B, H, W, C]`, or of pairs with int32 labels `[B]` or attributes `[B, A]`.

    Args:
        source: a TFDS name ("fashion_mnist"), a TFDS folder on disk, a folder of images (sub-folders are classes), an
            image file, an array of images `[N, H, W]` or `[N, H, W, C]`, or a pair (images, labels) of arrays. Of files
            all is read that Pillow reads, upright, of several frames the first; what is left out is in one warning.
        split: of a TFDS source, slices included ("train[:90%]"). For a folder of images, a sub-folder of that name, in
            any usual spelling ("Train", "val"), or "all"; if it has no splits, "train" is the whole folder too. A slice
            takes its share by a hash of the paths, not in their order. Arrays and files have no splits.
        image_size: an integer or (height, width): a centred crop of that aspect ratio, no larger than the image, is
            resized to it, antialiased. `None` leaves images as they are; they must then be of one size.
        channels: 1 or 3 to convert, `None` to keep.
        labels: `None` for the labels that the source has, `False` for none, or the name of a TFDS feature: one
            integer an image, or a vector of bools, its attributes. `None` takes a TFDS class label only where there is
            just one.
        columns: of attributes, the numbers of those to take, in this order; `None` for all.
        patch_size: side of square patches to take of the images, which may then differ in size; `None` for whole ones.
        patches: how many of each image, at random places, turned and mirrored at random: the same each epoch.
        shuffle: a full shuffle, another one each epoch.
        seed: of shuffling and flips.
        flip: mirror each image left to right with probability 1/2.
        cache: decode all images once and keep them in memory; or a folder to keep them in on disk, for sets that are
            larger than memory, and for the next time.
        drop_remainder: drop the last batch of an epoch if it is not full.
        repeat: go on for ever. The batches of epoch e are a function of the seed and e alone.
        first_epoch: the epoch to begin with; a run resumed there sees what an uninterrupted one would.
        first_batch: with `repeat`, the batch of that epoch to begin with; those before are not read.
        shard: (number, count): of each batch, the part of one of so many processes that train together.
        data_dir: where TFDS data sets are, else TFDS' own default.

    Raises:
        InputError: an argument is out of range, or an array is not one of images.
        DatasetError: a source cannot be read, or does not fit the arguments. An image whose header is good but whose
            pixels are damaged is found when it is decoded: here with `cache`, else on iterating, where TensorFlow wraps
            the same message in an error of its own.
    """
    opened = _open(source, split, image_size, channels, labels, data_dir, columns, patch_size, patches)
    num_batches = num_batches_of(opened, batch_size, drop_remainder)
    if isinstance(cache, (str, os.PathLike)):
        opened = on_disk(opened, Path(cache))
    elif cache:
        opened = opened.decoded()
    else:
        opened.check_headers()
    where = (first_epoch, first_batch, shard)
    return batches([opened], num_batches, batch_size, shuffle, seed, flip, drop_remainder, repeat, *where)


def load_pair_arrays(
    source: Any,
    split: str = "train",
    image_size: ImageSize = None,
    *,
    pairs: str,
    channels: int | None = None,
    data_dir: Folder = None,
) -> tuple[Array, Array]:
    """What a `Pix2Pix` is given, and the images it is made of: uint8 `[N, H, W, c]` and `[N, H, W, C]`.

    Arguments and errors as in `load`.

    Args:
        pairs: a name of `kerasgen.data.pairs.PAIRS`: "gray", "edges", "small" or "masked".
    """
    change = PAIRS[inputs.check_choice("pairs", pairs, PAIRS)]
    images, _ = load_arrays(source, split, image_size, channels=channels, labels=False, data_dir=data_dir)
    return change(images), images


def load_pairs(
    source: Any,
    split: str = "train",
    image_size: ImageSize = None,
    batch_size: int = 64,
    *,
    pairs: str,
    channels: int | None = None,
    shuffle: bool = False,
    seed: int = 0,
    flip: bool = False,
    drop_remainder: bool = False,
    repeat: bool = False,
    first_epoch: int = 0,
    first_batch: int = 0,
    shard: tuple[int, int] = (0, 1),
    data_dir: Folder = None,
) -> "tf.data.Dataset":
    """Batches for `Pix2Pix`: what it is given, and the images that it is made of, mirrored alike.

    Images stay decoded in memory. Arguments and errors as in `load` and `load_pair_arrays`.
    """
    change = PAIRS[inputs.check_choice("pairs", pairs, PAIRS)]
    opened = _open(source, split, image_size, channels, False, data_dir)
    num_batches, opened = num_batches_of(opened, batch_size, drop_remainder), opened.decoded()
    both = [dataclasses.replace(opened, change=change), opened]
    where = (first_epoch, first_batch, shard)
    return batches(both, num_batches, batch_size, shuffle, seed, flip, drop_remainder, repeat, *where)


def load_text_arrays(
    source: str | os.PathLike,
    split: str = "train",
    *,
    tokens: Tokens,
    texts: str = "lines",
    column: str | None = None,
    stride: int | None = None,
) -> Array:
    """Sequences of tokens of a file, int32 `[N, L]`.

    Args:
        source: the path of a file.
        split: such as "train" or "train[:90%]".
        tokens: `model.modality`.
        texts, column, stride: see `kerasgen.data.texts.text_source`: "lines" for a text a line, "whole" for one text in
            windows, "lists" for JSON; the column of a CSV file; tokens from window to window.

    Raises `DatasetError`: the file cannot be read, or has what the vocabulary lacks.
    """
    return np.asarray(text_source(source, split, tokens, texts, column, stride).images)


def load_texts(
    source: str | os.PathLike,
    split: str = "train",
    batch_size: int = 64,
    *,
    tokens: Tokens,
    texts: str = "lines",
    column: str | None = None,
    stride: int | None = None,
    transpose: int = 0,
    shuffle: bool = False,
    seed: int = 0,
    drop_remainder: bool = False,
    repeat: bool = False,
    first_epoch: int = 0,
    first_batch: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> "tf.data.Dataset":
    """Batches of sequences of tokens of a file. Arguments and errors as in `load` and `load_text_arrays`."""
    opened = text_source(source, split, tokens, texts, column, stride, transpose)
    num_batches = num_batches_of(opened, batch_size, drop_remainder)
    where = (first_epoch, first_batch, shard)
    return batches([opened], num_batches, batch_size, shuffle, seed, False, drop_remainder, repeat, *where)


def load_domain_arrays(
    source: Any,
    split: str = "train",
    image_size: ImageSize = None,
    *,
    domain: int,
    channels: int | None = None,
    labels: Feature = None,
    data_dir: Folder = None,
) -> tuple[Array, Array]:
    """Images without `domain`, and those with it: uint8 `[N, H, W, C]` and `[M, H, W, C]`.

    Arguments and errors as in `load`, and `DatasetError` if there are no labels, or all images are of one kind.

    Args:
        domain: of images with attributes, the number of one of them; of images in classes, a class.
    """
    check_index("domain", domain, 0)
    images, found = load_arrays(source, split, image_size, channels=channels, labels=labels, data_dir=data_dir)
    if found is None:
        raise DatasetError("the source has no labels that would part it; name a feature with labels.")
    if found.ndim == 2 and domain >= found.shape[1]:
        raise DatasetError(f"domain is {domain}; the images have attributes 0 to {found.shape[1] - 1}.")
    inside = found[:, domain] != 0 if found.ndim == 2 else found == domain
    if inside.all() or not inside.any():
        raise DatasetError(f"all {len(images)} images are on one side of domain {domain}; expected some on each.")
    return images[~inside], images[inside]


def load_domains(
    source: Any,
    split: str = "train",
    image_size: ImageSize = None,
    batch_size: int = 64,
    *,
    domain: int,
    channels: int | None = None,
    labels: Feature = None,
    shuffle: bool = False,
    seed: int = 0,
    flip: bool = False,
    repeat: bool = False,
    first_epoch: int = 0,
    first_batch: int = 0,
    shard: tuple[int, int] = (0, 1),
    data_dir: Folder = None,
) -> "tf.data.Dataset":
    """Pairs of full batches for `CycleGAN`: images without `domain`, and images with it, matched at random.

    The smaller kind sets the number of batches in an epoch. With `shuffle`, each epoch draws other images of the larger
    kind. Images stay decoded in memory. Arguments and errors as in `load` and `load_domain_arrays`.
    """
    form: Any = {"channels": channels, "labels": labels, "data_dir": data_dir}
    kinds = [open_source(x, split) for x in load_domain_arrays(source, split, image_size, domain=domain, **form)]
    num_batches = min(num_batches_of(kind, batch_size, True) for kind in kinds)
    where = (first_epoch, first_batch, shard)
    return batches(kinds, num_batches, batch_size, shuffle, seed, flip, True, repeat, *where)
