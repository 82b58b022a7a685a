"""Averaged weights (Polyak and Juditsky 1992): what users see of a model in training, and what `fit` leaves.

Averages and weights of training change places. Between the batches of an epoch the model has the weights of training,
and the optimizer the averages; from the end of an epoch, before its validation and the callbacks, until the next epoch
begins, and after `fit`, it is the other way round. The optimizer's variables say which it is, so that whatever is
saved then, by `ModelCheckpoint`, `BackupAndRestore` or `save`, has averaged weights and resumes from those of training.
"""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np
from keras import ops

from kerasgen.errors import InputError
from kerasgen.typing import Any, Sequence


def digest(variables: Sequence) -> int:
    """CRC-32 of the values of variables, as int32; never 0."""
    crc = 0
    for variable in variables:
        crc = zlib.crc32(ops.convert_to_numpy(variable).tobytes(), crc)
    return int(np.uint32(crc).view(np.int32)) or 1


def number(variable: Any) -> int:
    """The value of a scalar, also of one that replicas mirror."""
    return int(ops.convert_to_numpy(variable))


class Averaging(keras.optimizers.Optimizer):
    """A mix-in that warms up the averaging of a Keras optimizer with `use_ema`, and shows the averages.

    After each step average <- m average + (1 - m) weight with m = min(ema_momentum, (1 + n) / (10 + n)), n the number
    of steps averaged before, as `tf.train.ExponentialMovingAverage` does with `num_updates`. After the first step the
    average is a copy. It begins anew where training goes on from weights that are not those that averaging left.

    `compile` mixes it into any optimizer of Keras with `use_ema=True`.
    """

    _within_fit = False  # whether a `fit` of ours shows the averages

    def build(self, variables: Sequence) -> None:
        if not self.built:
            super().build(variables)
            self.add_counters()

    def add_counters(self) -> None:
        """Adds the variables of averaging, the last ones of the optimizer."""
        arguments: Any = {"shape": (), "dtype": "int32", "aggregation": "only_first_replica"}
        self._averaged_steps = self.add_variable(name="averaged_steps", **arguments)
        self._shown = self.add_variable(name="shown", **arguments)  # digest of the averages in the model; 0: in here

    def _pairs(self):
        pairs = zip(self._trainable_variables, self._model_variables_moving_average, strict=True)
        return [(variable, average) for variable, average in pairs if average is not None]

    def _update_model_variables_moving_average(self, trainable_variables: Sequence) -> None:
        """Takes the weights after a step into the averages; Keras calls it."""
        begun, shown = map(ops.convert_to_tensor, (self._averaged_steps, self._shown))
        steps = ops.where(ops.equal(shown, 0), begun, ops.zeros_like(begun))
        n = ops.cast(steps, "float32")
        momentum = ops.minimum(self.ema_momentum, (1.0 + n) / (10.0 + n))
        due = ops.ones_like(steps)
        if self.gradient_accumulation_steps:
            due = ops.cast(ops.equal((self._iterations + 1) % self.gradient_accumulation_steps, 0), "int32")
            momentum = ops.where(ops.equal(due, 1), momentum, ops.ones_like(momentum))
        for variable, average in self._pairs():
            m, (a, w) = ops.cast(momentum, variable.dtype), map(ops.convert_to_tensor, (average, variable))
            average.assign(ops.where(ops.equal(steps, 0), w, m * a + (1.0 - m) * w))
        self._averaged_steps.assign(steps + due)
        self._shown.assign(ops.zeros_like(shown))

    def finalize_variable_values(self, var_list: Sequence) -> None:
        """Shows the averages; Keras calls it at the end of `fit`."""
        if not self._within_fit:
            self.show_averages()

    def show_averages(self) -> None:
        """Gives the model the averages, and keeps its weights; nothing where it has them or there are none yet."""
        if number(self._averaged_steps) and not number(self._shown):
            self._exchange(digest([average for _, average in self._pairs()]))

    def hide_averages(self) -> None:
        """Gives the model the weights to train, if it has averages.

        If it has other weights than those that were shown, such as a user's, training goes on from them.
        """
        if not number(self._shown):
            return
        if number(self._shown) == digest([variable for variable, _ in self._pairs()]):
            self._exchange(0)
        else:
            self._averaged_steps.assign(0)
            self._shown.assign(0)

    def _exchange(self, shown):
        """Wholly or, if interrupted, not at all."""
        pairs = self._pairs()
        before = [(ops.copy(variable), ops.copy(average)) for variable, average in pairs]
        try:
            for (variable, average), (weight, mean) in zip(pairs, before, strict=True):
                variable.assign(mean)
                average.assign(weight)
            self._shown.assign(shown)
        except BaseException:
            for (variable, average), (weight, mean) in zip(pairs, before, strict=True):
                variable.assign(weight)
                average.assign(mean)
            raise

    def load_own_variables(self, store: Any) -> None:
        """Takes also what was saved when averaging did not warm up, without counters."""
        *earlier, steps, shown = self.variables
        if len(store.keys()) != len(earlier):
            return super().load_own_variables(store)
        for index, variable in enumerate(earlier):
            variable.assign(store[f"{index}"])
        steps.assign(number(self.iterations))
        shown.assign(0)


def _mixed(kind):
    """`(class of a new Keras optimizer, the same with Averaging)`, registered for saving."""
    kind = type(kind.__new__(kind))  # on PyTorch, Keras makes a faster one of another class
    cls = type(f"Averaged{kind.__name__}", (Averaging, kind), {"__module__": __name__, "__doc__": Averaging.__doc__})
    return kind, keras.saving.register_keras_serializable("kerasgen")(cls)


NAMES = "Adadelta Adafactor Adagrad Adam AdamW Adamax Ftrl Lamb Lion Muon Nadam RMSprop SGD"
AVERAGED = dict(_mixed(getattr(keras.optimizers, name)) for name in NAMES.split())


def parts(optimizer: Any) -> list:
    """What an optimizer is made of: those of a `MultiOptimizer`, the one in a `LossScaleOptimizer`, or itself."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return list(getattr(inner, "optimizers", [inner]))


def warm_up(optimizer: Any) -> Any:
    """The optimizer, with `Averaging` mixed in place into each part of it that has `use_ema`.

    Raises `InputError`: one of them is not Keras' own.
    """
    for part in parts(optimizer):
        if not part.use_ema or isinstance(part, Averaging):
            continue
        if type(part) not in AVERAGED:
            name = type(part).__name__
            raise InputError(
                f"{name} averages weights (use_ema=True) and is not Keras' own; derive it from "
                f"kerasgen.base.averaging.Averaging too: class Averaged{name}(Averaging, {name})."
            )
        part.__class__ = AVERAGED[type(part)]
        if part.built:
            part.add_counters()
            part._averaged_steps.assign(number(part.iterations))
    return optimizer


class ShowAverages(keras.callbacks.Callback):
    """Shows validation and the other callbacks the averaged weights, and brings up to date what depends on weights.

    It must come first.
    """

    def __init__(self, optimizers: Sequence[Averaging]):
        super().__init__()
        self.optimizers = optimizers
        self.shown = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.hide()

    def hide(self) -> None:
        """Gives the model the weights of training."""
        for optimizer in self.optimizers:
            optimizer.hide_averages()
        self.shown = False

    def on_test_begin(self, logs: Any = None) -> None:
        if not self.shown:
            self.shown = True
            for optimizer in self.optimizers:
                optimizer.show_averages()
            self.model.refresh()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.on_test_begin()


def without_swaps(model: Any, callbacks: Any) -> Any:
    """A list of callbacks without `SwapEMAWeights`, where averages are shown anyway and it would take them back.

    A `CallbackList` is returned as it is, with its callbacks so changed.
    """
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks.callbacks = without_swaps(model, callbacks.callbacks)
        return callbacks
    given = [] if callbacks is None else keras.tree.flatten(callbacks)
    if not any(isinstance(part, Averaging) for part in parts(model.optimizer)):
        return given
    return [callback for callback in given if not isinstance(callback, keras.callbacks.SwapEMAWeights)]


@contextmanager
def showing_averages(model: Any, callbacks: Any) -> Iterator[Any]:
    """The callbacks for a `fit` within this context, which leaves averaged weights, and those of training if it fails.

    What restores the values that Keras takes out of the variables on JAX must be within, too.
    """
    optimizers = [part for part in parts(model.optimizer) if isinstance(part, Averaging)]
    first, callbacks = ShowAverages(optimizers), without_swaps(model, callbacks)
    if isinstance(callbacks, keras.callbacks.CallbackList):
        first.set_model(model)
        callbacks.callbacks.insert(0, first)
    else:
        callbacks.insert(0, first)
    for optimizer in optimizers:
        optimizer._within_fit = True
    try:
        yield callbacks
    except BaseException:
        if first.shown:
            first.hide()
        raise
    finally:
        for optimizer in optimizers:
            optimizer._within_fit = False
