"""The gate: what Keras' entry points are handed is checked by the modality, arrays whole, batches as they come."""

import inspect

import keras

from kerasgen import backend
from kerasgen.base.batches import Watch, checked, is_array, is_dataset, is_endless, parts
from kerasgen.errors import InputError
from kerasgen.modalities import to_numpy
from kerasgen.typing import Any, Callable, Self

BATCH_SIZE = 32  # of arrays, where none is given: Keras' own


def arguments(method: Callable, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """The arguments of a call of a bound method, by name."""
    return inspect.signature(method).bind(*args, **kwargs).arguments


class Gate:
    """Lets examples in, for as long as a call lasts.

    An error of a batch comes to the user as it was raised here, not as the framework has wrapped it. Arrays of floats,
    which Keras casts to its floatx, stay float32 where that has 16 bits.
    """

    def __init__(self, model: Any):
        self.model = model
        self.watches: list[Watch] = []
        self.floatx = keras.config.floatx()
        self.unseen = False  # whether a sample of the examples is still to be looked at
        distribution = keras.distribution.distribution()
        self.sharing = distribution if distribution is not None and distribution.auto_shard_dataset else None

    def __enter__(self) -> Self:
        if self.sharing is not None:
            self.sharing.auto_shard_dataset = False
        if self.floatx != "float64":
            keras.config.set_floatx("float32")
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        keras.config.set_floatx(self.floatx)
        if self.sharing is not None:
            self.sharing.auto_shard_dataset = True
        for watch in self.watches:
            if error is not None and watch.error is not None and watch.error is not error:
                raise watch.error from None

    def admit(self, x: Any, y: Any = None, weights: Any = None, endless: bool = True) -> tuple[Any, Any, Any]:
        """`(x, y, weights)` to train or evaluate with, checked.

        Args:
            x, y, weights: as handed to Keras.
            endless: whether data without an end are welcome, because their steps are counted.
        """
        if is_array(x):
            return self.model.check_batch(x, y, weights)
        for name, given in (("y", y), ("sample_weight", weights)):
            if given is not None:
                raise InputError(f"{name} is given beside a {type(x).__name__}, whose batches have it: leave it out.")
        batches = self.watch(x, self.model.check_batch, endless, self.model.source_shape, self.model.target_shape)
        if is_dataset(x):
            self.model.check_spec(*parts(x.element_spec))
        return batches, None, None

    def watch(self, x: Any, check: Callable, endless: bool, *shapes: Any) -> Any:
        """The batches of `x`, each checked as it comes."""
        if is_endless(x) and not endless:
            raise InputError("the data have no end: say steps_per_epoch (of fit) or steps (elsewhere), or end them.")
        self.watches.append(Watch(check))
        if self.sharing is not None and is_dataset(x):
            x = self.part_of(x)
        return checked(x, self.watches[-1], *shapes)

    def part_of(self, dataset: Any) -> Any:
        """What this process of several that train together on JAX takes of a data set, by Keras' own rule.

        Keras does not know the batches any more once they are checked.
        """
        self.sharing.auto_shard_dataset = True
        try:
            return self.sharing.distribute_dataset(dataset)
        finally:
            self.sharing.auto_shard_dataset = False

    def rows(self, settings: dict[str, Any]) -> Callable[[], int]:
        """What gives the number of examples in a whole batch that `fit` is given; 0 until one has come.

        Of several processes that train together each is taken to have as many as this one.
        """
        if is_array(settings["x"]):
            size = min(settings.get("batch_size") or BATCH_SIZE, len(settings["x"]))
            return lambda: size
        watch, shares = self.watches[0], backend.shares_of_batch()
        return lambda: watch.rows * shares

    def admit_training(self, settings: dict[str, Any]) -> None:
        """The arguments of `fit`, by name, checked in place."""
        given, y, weights = (settings.get(name) for name in ("x", "y", "sample_weight"))
        x, y, weights = self.admit(given, y, weights, endless=settings.get("steps_per_epoch") is not None)
        if is_array(x):
            self.model.modality.check_training(to_numpy("x", given))
        self.unseen = self.model.modality.tabular and not is_array(x)
        settings.update(x=x, y=y, sample_weight=weights)
        if not is_array(x) and not isinstance(x, keras.utils.PyDataset):
            settings.setdefault("shuffle", False)  # Keras' default is for those, and it warns of others
        if settings.get("class_weight") is not None:
            settings["class_weight"] = self.model.check_class_weight(settings["class_weight"])
        validation = settings.get("validation_data")
        if validation is not None:
            given = parts(validation) if isinstance(validation, (tuple, list)) else (validation, None, None)
            x, y, weights = self.admit(*given, endless=settings.get("validation_steps") is not None)
            settings["validation_data"] = x if y is None and weights is None else (x, y, weights)

    def admit_inputs(self, x: Any, endless: bool) -> Any:
        """What `predict` was handed, checked as what `call` takes; labels in batches are left out by Keras."""
        modality = self.model.input_modality()
        if is_array(x):
            return modality.check(x)
        return self.watch(x, lambda x, y, weights: modality.check(x), endless, modality.shape)
