"""Iterables of batches, each checked on the host as it comes: `tf.data`, generators, `PyDataset`, `DataLoader`.

A check costs a look at every value, little beside a training step. It changes nothing: what fails ends in an error that
says which batch it was.
"""

import copy
import itertools
import types
from collections.abc import Iterator

import keras
import numpy as np
from keras import ops

from kerasgen.errors import InputError
from kerasgen.typing import Any, Array, Callable, Sequence

SEEN = 65_536  # examples of a stream from which a sample of them is drawn
FORMS = (
    "an array, a tf.data.Dataset, a generator, a keras.utils.PyDataset or a torch DataLoader, "
    "of examples or of (examples, labels)"
)
NO_TEXTS = "texts are not taken in batches; give their tokens, model.modality.check(texts)."


class Watch:
    """Checks batches and keeps the first error, which frameworks wrap in errors of their own.

    Args:
        check: called with `(x, y, weights)` of each batch, the last two maybe `None`; raises `InputError`.
    """

    def __init__(self, check: Callable[[Any, Any, Any], Any]):
        self.check = check
        self.error: InputError | None = None
        self.rows = 0  # examples in the largest batch so far

    def __call__(self, batch: Any, index: int) -> Any:
        """The batch, as the tuple that Keras expects of a generator."""
        try:
            x, y, weights = parts(batch)
            if getattr(getattr(x, "dtype", None), "kind", None) in ("U", "S", "O"):
                raise InputError(NO_TEXTS)
            self.check(x, y, weights)
            self.rows = max(self.rows, len(x))
        except InputError as error:
            self.error = self.error or InputError(f"batch {index}: {error}")
            raise self.error from None
        return tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)


def parts(batch: Any) -> tuple[Any, Any, Any]:
    """`(x, y, weights)` of a batch, `None` for what it lacks. Raises `InputError`: it is of another form."""
    if isinstance(batch, dict):
        raise InputError(
            f"batches are dictionaries of {sorted(map(str, batch))}; expected examples or (examples, labels), for "
            "example by dataset.map(lambda batch: (batch['image'], batch['label']))."
        )
    if not isinstance(batch, (tuple, list)):
        return batch, None, None
    if not 1 <= len(batch) <= 3 or any(isinstance(part, (tuple, list, dict)) for part in batch):
        held = ", ".join(type(part).__name__ for part in batch)
        raise InputError(f"batches hold ({held}); expected x, (x, labels) or (x, labels, weights).")
    return (*batch, *[None] * (3 - len(batch)))


def is_array(x: Any) -> bool:
    """Whether `x` is examples as they are, not an iterable of batches."""
    return hasattr(x, "__array__") or isinstance(x, (list, tuple))


def is_dataset(x: Any) -> bool:
    """Whether `x` is a `tf.data.Dataset`."""
    return hasattr(x, "element_spec")


def is_loader(x: Any) -> bool:
    """Whether `x` is a `torch.utils.data.DataLoader`."""
    return any(c.__name__ == "DataLoader" and c.__module__.startswith("torch.") for c in type(x).__mro__)


def is_endless(x: Any) -> bool:
    """Whether `x` is known to have no last batch."""
    if is_dataset(x):
        return int(x.cardinality()) == -1
    return isinstance(x, keras.utils.PyDataset) and x.num_batches is None


def checked(x: Any, watch: Watch, shape: Sequence[int], target_shape: Sequence[int] | None = None) -> Any:
    """The iterable, of the kind that it is, with `watch` called on each batch.

    Args:
        x: a `tf.data.Dataset`, a generator, a `PyDataset` or a torch `DataLoader`.
        watch: what checks.
        shape: of one example, for data sets that do not say it.
        target_shape: of what comes with one, if it has as many axes whatever a user gives.

    Raises `InputError`: it is none of these, or has no batches.
    """
    if is_dataset(x):
        return _checked_dataset(x, watch, shape, target_shape)
    if isinstance(x, keras.utils.PyDataset):
        if x.num_batches == 0:
            raise InputError("the data set is empty: it has no batches.")
        return CheckedPyDataset(x, watch)
    if isinstance(x, types.GeneratorType):
        return _checked_generator(x, watch)
    if is_loader(x):
        return _checked_loader(x, watch)
    raise InputError(f"x is a {type(x).__name__}; expected {FORMS}.")


def _checked_dataset(dataset, watch, shape, target_shape):
    import tensorflow as tf

    if not isinstance(dataset, tf.data.Dataset):
        raise InputError(f"x is a {type(dataset).__name__}; give the tf.data.Dataset, which fit distributes itself.")
    spec = dataset.element_spec
    parts(spec if isinstance(spec, (tuple, dict)) else (spec,))
    for part in tf.nest.flatten(spec):
        if not isinstance(part, tf.TensorSpec):
            raise InputError(f"batches hold a {type(part).__name__}; expected dense tensors.")
    first = tf.nest.flatten(spec)[0]
    if first.dtype == tf.string:
        raise InputError(NO_TEXTS)
    if first.shape.rank == len(shape):
        raise InputError(f"the data set gives examples of shape {first.shape} one by one; call .batch(32) on it.")
    size = int(dataset.cardinality())
    if size == 0 or (size == -2 and not any(True for _ in dataset.take(1))):  # -2: not known before it is read
        raise InputError("the data set is empty: it has no batches.")

    def on_host(index, *tensors):
        watch(tf.nest.pack_sequence_as(spec, tensors), int(index))

    def check(index, batch):
        tensors = tf.nest.flatten(batch)
        with tf.control_dependencies([tf.numpy_function(on_host, [index, *tensors], [])]):
            tensors = [tf.identity(tensor) for tensor in tensors]
        for tensor, known in zip(tensors, (shape, target_shape), strict=False):
            if known is not None:
                tensor.set_shape((tensor.shape[0] if tensor.shape.rank else None, *known))
        return tf.nest.pack_sequence_as(batch, tensors)

    return dataset.enumerate().map(check).prefetch(1)


class CheckedPyDataset(keras.utils.PyDataset):
    """A `PyDataset` with a check of each batch."""

    def __init__(self, dataset: keras.utils.PyDataset, watch: Watch):
        super().__init__(dataset.workers, dataset.use_multiprocessing, dataset.max_queue_size)
        self.dataset, self.watch = dataset, watch

    def __getitem__(self, index: int) -> Any:
        return self.watch(self.dataset[index], index)

    @property
    def num_batches(self) -> int | None:
        return self.dataset.num_batches

    def on_epoch_begin(self) -> None:
        self.dataset.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self.dataset.on_epoch_end()


def _checked_generator(generator, watch):
    first = list(itertools.islice(generator, 1))
    if not first:
        raise InputError("the generator is empty: it gave no batches.")

    def batches():
        for index, batch in enumerate(itertools.chain(first, generator)):
            yield watch(batch, index)

    return batches()


def _checked_loader(loader, watch):
    """A copy of the loader, since Keras knows loaders by their class."""

    def batches(self) -> Iterator:
        for index, batch in enumerate(type(loader).__iter__(self)):
            watch(batch, index)
            yield batch

    if hasattr(loader.dataset, "__len__") and len(loader) == 0:
        raise InputError("the DataLoader is empty: it has no batches.")
    found = copy.copy(loader)
    found.__class__ = type("CheckedDataLoader", (type(loader),), {"__iter__": batches})
    return found


def rows_of_batch(x: Any) -> int:
    """Examples in the first batch of a data set; 1 of what cannot be read twice, or has no batches."""
    return len(parts(next(iter(x)))[0]) if is_dataset(x) else 1


def sample(x: Any, y: Any, num: int, seed: int) -> tuple[Array, Array | None, Any]:
    """Up to `num` examples drawn at random, what comes with them, and x with nothing taken from it.

    All examples are as likely in arrays, and batches in a `PyDataset` of known length; of other iterables those among
    the first 65,536 examples. A generator cannot be read twice, so that its first batches are drawn, and given back.
    """
    rng = np.random.default_rng(seed)
    if is_array(x):
        chosen = np.sort(rng.permutation(len(x))[:num])
        return x[chosen], None if y is None else y[chosen], x
    if isinstance(x, types.GeneratorType):
        batches = list(_up_to(x, num))
        return (*_drawn(batches, num, rng), (batch for batch in itertools.chain(batches, x)))
    if isinstance(x, keras.utils.PyDataset) and x.num_batches is not None:
        order = rng.permutation(x.num_batches).tolist()
        read = dict(zip(order, _up_to((x[index] for index in order), num), strict=False))
        return (*_drawn([read[index] for index in sorted(read)], num, rng), x)
    return (*_drawn(_up_to(x, SEEN), num, rng), x)


def _up_to(batches, num):
    """Batches until they have `num` examples."""
    seen = 0
    for batch in batches:
        yield batch
        seen += len(parts(batch)[0])
        if seen >= num:
            return


def _drawn(batches, num, rng):
    """`num` examples of the batches, all as likely, and what comes with them (Vitter 1985, algorithm R)."""
    kept: list[tuple] = []
    seen = 0
    for batch in batches:
        x, y, _ = (None if part is None else ops.convert_to_numpy(part) for part in parts(batch))
        for row in range(len(x)):
            seen += 1
            place = int(rng.integers(seen)) if len(kept) == num else len(kept)
            if place < num:
                kept[place : place + 1] = [(x[row].copy(), None if y is None else y[row])]
    xs, ys = zip(*kept, strict=True)
    return np.stack(xs), None if ys[0] is None else np.stack(ys)
