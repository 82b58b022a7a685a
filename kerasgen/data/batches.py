"""Batches of one source or several: a `tf.data.Dataset` whose order is a function of the seed and the epoch."""

import atexit
import functools
import itertools
import threading
import time
from typing import TYPE_CHECKING

import numpy as np

from kerasgen.data.sources import Source
from kerasgen.errors import InputError
from kerasgen.inputs import check_integer
from kerasgen.typing import Any, Callable, Sequence

if TYPE_CHECKING:
    import tensorflow as tf

REST = 0.1  # seconds without a call, after which a pipeline has filled its buffers
LONGEST = 10.0  # seconds to wait for it
check_index = functools.partial(check_integer, maximum=2**63 - 1)  # TensorFlow's integers


class Calls:
    """Functions that TensorFlow's threads call, which come to rest before Python ends.

    Where an iterator is left over at the end, TensorFlow waits for its threads, and a thread that is in Python then, or
    wants to be, never comes back: the process would hang. So from the end on calls fail at once, until none comes.
    """

    def __init__(self):
        self.running: set[int] = set()
        self.last = 0.0
        self.ended = False
        atexit.register(self.end)

    def of(self, function: Callable) -> Callable:
        """The function, counted."""

        def call(*arguments: Any) -> Any:
            thread, self.last = threading.get_ident(), time.monotonic()
            if self.ended:
                raise RuntimeError("Python has ended.")
            self.running.add(thread)
            try:
                return function(*arguments)
            finally:
                self.running.discard(thread)
                self.last = time.monotonic()

        return call

    def end(self) -> None:
        self.ended, start = True, time.monotonic()
        while (now := time.monotonic()) < start + LONGEST and (self.running or now < self.last + REST):
            time.sleep(0.01)


CALLS = Calls()


def batches(
    sources: Sequence[Source],
    num_batches: int,
    batch_size: int,
    shuffle: bool,
    seed: int,
    flip: bool,
    drop_remainder: bool,
    repeat: bool,
    first_epoch: int,
    first_batch: int,
    shard: tuple[int, int],
) -> "tf.data.Dataset":
    """The data set of batches of one source, or of tuples of those of several, as long as the shortest.

    Sources of one number of images are shuffled and flipped alike. Arguments as in `kerasgen.data.load`.
    """
    check_index("seed", seed, 0)
    check_index("first_epoch", first_epoch, 0)
    if check_index("first_batch", first_batch, 0) and not repeat:
        raise InputError(f"first_batch is {first_batch}, which is for repeat=True alone.")
    number, count = shard
    if not 0 <= number < count:
        raise InputError(f"shard is {shard}; expected the number of a process, from 0 on, and how many there are.")

    import tensorflow as tf

    def batches_of(opened, epoch):
        """Batches of (indices, whether to flip)."""
        epoch_seed = tf.stack([tf.constant(seed, tf.int64), epoch])
        indices = tf.range(opened.num, dtype=tf.int64)
        flipped = tf.zeros([opened.num], tf.bool)
        if flip:
            flip_seed = tf.random.experimental.stateless_fold_in(epoch_seed, 1)
            flipped = tf.random.stateless_uniform([opened.num], flip_seed) < 0.5
        if shuffle:
            indices = tf.random.experimental.stateless_shuffle(indices, epoch_seed)
        examples = tf.data.Dataset.from_tensor_slices((indices, tf.gather(flipped, indices)))
        return examples.batch(batch_size, drop_remainder)

    def part(*batch):
        num = tf.shape(batch[0])[0]
        return tuple(rows[number * num // count : (number + 1) * num // count] for rows in batch)

    def read(opened, indices, flipped):
        some = opened.stack([0])
        images = tf.numpy_function(CALLS.of(opened.stack), [indices], some.dtype)
        images.set_shape((None if count > 1 else indices.shape[0], *some.shape[1:]))
        if flip:
            images = tf.where(flipped[:, None, None, None], tf.reverse(images, [2]), images)
        return images if opened.labels is None else (images, tf.gather(opened.labels, indices))

    def read_all(*places):
        places = places if count == 1 else tuple(part(*place) for place in places)
        found = tuple(read(opened, *place) for opened, place in zip(sources, places, strict=True))
        return found if len(found) > 1 else found[0]

    following = itertools.count(first_epoch)  # the next epoch each time that the data set is iterated over

    def next_epoch(_):
        return tf.ensure_shape(tf.numpy_function(lambda: np.int64(next(following)), [], tf.int64), ())

    epochs = tf.data.Dataset.counter(first_epoch) if repeat else tf.data.Dataset.range(1).map(next_epoch)
    places = epochs.flat_map(lambda epoch: tf.data.Dataset.zip(tuple(batches_of(s, epoch) for s in sources)))
    if first_batch:
        places = places.skip(first_batch)
    if not repeat:
        places = places.apply(tf.data.experimental.assert_cardinality(num_batches))
    options = tf.data.Options()
    options.deterministic = True
    return places.map(read_all, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE).with_options(options)
