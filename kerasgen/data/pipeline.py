"""From a source to batches: arrays, or a `tf.data.Dataset` whose order is a function of the seed and the epoch."""

import numbers

import numpy as np

from kerasgen.data.sources import open_source
from kerasgen.errors import DatasetError


def _check(name, value, minimum):
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < minimum:
        raise DatasetError(f"{name} is {value!r}; expected an integer of at least {minimum}.")


def _check_format(image_size, channels):
    """`(height, width)` or `None`, from an int or a pair."""
    if channels not in (None, 1, 3):
        raise DatasetError(f"channels is {channels!r}; expected 1, 3 or None.")
    if image_size is None:
        return None
    size = image_size if isinstance(image_size, (tuple, list)) else (image_size, image_size)
    if len(size) != 2:
        raise DatasetError(f"image_size is {image_size!r}; expected an integer or (height, width).")
    for side in size:
        _check("image_size", side, 1)
    return tuple(size)


def load_arrays(source, split="train", image_size=None, *, channels=None, labels=None, limit=None, data_dir=None):
    """Images uint8 `[N, H, W, C]` and labels int32 `[N]` (or `None`) of a whole split, in its own order.

    Arguments as in `load`; `limit` takes the first so many. TensorFlow is imported for TFDS sources only.
    """
    size = _check_format(image_size, channels)
    opened = open_source(source, split, labels, data_dir)
    if limit is not None:
        _check("limit", limit, 1)
    indices = range(opened.num)[:limit]
    numbers_ = None if opened.labels is None else opened.labels[:limit]
    return opened.stack(indices, size, channels), numbers_


def steps_per_epoch(source, split, batch_size, drop_remainder=False, *, data_dir=None):
    """Batches in an epoch of `load` with the same arguments."""
    num = open_source(source, split, False, data_dir).num
    return num // batch_size if drop_remainder else -(-num // batch_size)


def class_names(source, split="train", *, labels=None, data_dir=None):
    """Names of the classes, or `None` where they have none."""
    return open_source(source, split, labels, data_dir).class_names


def load(
    source,
    split="train",
    image_size=None,
    batch_size=64,
    *,
    channels=None,
    labels=None,
    shuffle=False,
    seed=0,
    flip=False,
    cache=False,
    drop_remainder=False,
    repeat=False,
    first_epoch=0,
    data_dir=None,
):
    """A `tf.data.Dataset` of uint8 images `[B, H, W, C]`, or of pairs with int32 labels `[B]`.

    Args:
        source: a TFDS name ("fashion_mnist"), a TFDS folder on disk, a folder of images (sub-folders are classes), an
            array of images `[N, H, W]` or `[N, H, W, C]`, or a pair (images, labels) of arrays.
        split: of a TFDS source, slices included ("train[:90%]"). A folder of images has the splits that its
            sub-folders train, validation and test make, else "train", which is all of it. Arrays have none.
        image_size: an integer or (height, width): a centred crop of that aspect ratio, no larger than the image, is
            resized to it, antialiased. `None` leaves images as they are; they must then be of one size.
        batch_size: images at once.
        channels: 1 or 3 to convert, `None` to keep.
        labels: `None` for the labels that the source has, `False` for none, or the name of a TFDS class label.
        shuffle: a full shuffle, another one each epoch.
        seed: of shuffling and flips.
        flip: mirror each image left to right with probability 1/2.
        cache: decode all images once and keep them in memory.
        drop_remainder: drop the last batch of an epoch if it is not full.
        repeat: go on for ever. The batches of epoch e are a function of the seed and e alone.
        first_epoch: the epoch to begin with; a run resumed there sees what an uninterrupted one would.
        data_dir: where TFDS data sets are, else TFDS' own default.

    Raises `DatasetError` for sources that cannot be read or do not fit the arguments.
    """
    size = _check_format(image_size, channels)
    _check("batch_size", batch_size, 1)
    _check("seed", seed, 0)
    _check("first_epoch", first_epoch, 0)
    opened = open_source(source, split, labels, data_dir)
    if drop_remainder and opened.num < batch_size:
        raise DatasetError(
            f"{opened.name} has {opened.num} images, less than a batch of {batch_size}; lower batch_size."
        )

    import tensorflow as tf

    shape = opened.stack([0], size, channels).shape[1:]
    images = opened.stack(range(opened.num), size, channels) if cache else None
    options = tf.data.Options()
    options.deterministic = True

    def epoch_of_batches(epoch):
        """Batches of (epoch, indices)."""
        indices = tf.range(opened.num, dtype=tf.int64)
        if shuffle:
            indices = tf.random.experimental.stateless_shuffle(indices, seed=tf.stack([tf.cast(seed, tf.int64), epoch]))
        batches = tf.data.Dataset.from_tensor_slices(indices).batch(batch_size, drop_remainder)
        return batches.map(lambda batch: (epoch, batch))

    def read(epoch, indices):
        if cache:
            batch = tf.numpy_function(lambda i: images[i], [indices], tf.uint8)
        else:
            batch = tf.numpy_function(lambda i: opened.stack(i, size, channels), [indices], tf.uint8)
        batch.set_shape((indices.shape[0], *shape))
        if flip:
            seeds = tf.stack([tf.fill(tf.shape(indices), epoch * 2 + seed * 2**20), indices], axis=1)
            mirrored = tf.map_fn(lambda s: tf.random.stateless_uniform((), s), seeds, fn_output_signature=tf.float32)
            batch = tf.where(mirrored[:, None, None, None] < 0.5, tf.reverse(batch, [2]), batch)
        return batch if opened.labels is None else (batch, tf.gather(opened.labels, indices))

    epochs = tf.data.Dataset.counter(first_epoch) if repeat else _NextEpoch(first_epoch).dataset(tf)
    batches = epochs.flat_map(epoch_of_batches)
    if not repeat:
        batches = batches.apply(
            tf.data.experimental.assert_cardinality(_num_batches(opened.num, batch_size, drop_remainder))
        )
    return batches.map(read, num_parallel_calls=2).prefetch(tf.data.AUTOTUNE).with_options(options)


def _num_batches(num, batch_size, drop_remainder):
    return num // batch_size if drop_remainder else -(-num // batch_size)


class _NextEpoch:
    """A data set of one epoch number, the next one each time it is iterated over."""

    def __init__(self, epoch):
        self.epoch = epoch

    def _next(self):
        self.epoch += 1
        return np.int64(self.epoch - 1)

    def dataset(self, tf):
        return tf.data.Dataset.range(1).map(lambda _: tf.ensure_shape(tf.numpy_function(self._next, [], tf.int64), ()))
