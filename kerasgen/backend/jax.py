"""JAX: one stateful style over Keras' stateless scopes.

Keras trains on JAX through pure functions of four lists of values. A step here is written as on the other backends; it
runs in a `keras.StatelessScope` that holds the traced values, and the new state is read back from the scope.
"""

import contextlib
import functools
import math
import threading
from collections.abc import Iterator

import jax
import keras
import numpy as np
from jax.experimental import multihost_utils
from jax.extend.core import jaxprs_in_params

from kerasgen.backend import plain
from kerasgen.backend.memory import keep_freed_memory
from kerasgen.typing import Any, Array, Callable, Sequence, Tensor

replica_seed, replica_sum, replica_rows = plain.replica_seed, plain.replica_sum, plain.replica_rows
replica_gather, jit_compile = plain.replica_gather, plain.jit_compile

SYNCHRONIZED, some_rows = plain.SYNCHRONIZED, plain.some_rows
attention, gelu, silu = plain.attention, plain.gelu, plain.silu

keep_freed_memory()


class _Tracing(threading.local):
    """`[(scope, its variables)]` of the steps that this thread traces, innermost last."""

    def __init__(self):
        self.scopes: list[tuple] = []


_tracing = _Tracing()


def _current(scope, variables):
    """Values of the variables inside the scope."""
    return [scope.get_current_value(v) for v in variables]


def _run(function, variables, values):
    """`function()` with the variables set to the values: its result and the variables' new values."""
    with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))) as scope:
        _tracing.scopes.append((scope, variables))
        try:
            result = function()
        finally:
            _tracing.scopes.pop()
    return result, _current(scope, variables)


def _stateless(method, groups):
    """A Keras step `(state, data) -> (logs, new_state)`; `groups(self)` lists variables in the order of the state."""

    @functools.wraps(method)
    def step(self, state, data):
        lists = groups(self)
        variables = [v for group in lists for v in group]
        values = [value for group in state for value in group]
        logs, values = _run(lambda: method(self, data), variables, values)
        values = iter(values)
        return logs, tuple([next(values) for _ in group] for group in lists)

    return step


def _weights(model):
    return model.trainable_variables, model.non_trainable_variables


def train_step(method: Callable) -> Callable:
    """Decorates `train_step(self, data) -> logs` of a `keras.Model`, so that `fit` trains by it on every backend.

    Keras then finds what it calls on JAX, `train_step(state, data) -> (logs, new_state)`. What a step may do is said in
    `kerasgen.backend`, and of its `data` and logs in `kerasgen.backend.plain.train_step`.
    """
    return _stateless(method, lambda model: (*_weights(model), model.optimizer.variables, model.metrics_variables))


def test_step(method: Callable) -> Callable:
    """Decorates `test_step(self, data) -> logs`, for `evaluate`, as `train_step` does for `fit`."""
    return _stateless(method, lambda model: (*_weights(model), model.metrics_variables))


def value_and_grad(function: Callable, variables: Sequence) -> tuple[tuple[Tensor, Any], list[Tensor]]:
    """`(value, auxiliary), gradients` of `function() -> (scalar, auxiliary)`; zeros where nothing connects.

    Inside a step, whatever `function` assigns (statistics, seeds, metrics) is carried out into the step's state.
    Outside of one there is no such state, and assignments are dropped.
    """
    scope, known = _tracing.scopes[-1] if _tracing.scopes else (None, [])
    chosen = {id(v) for v in variables}
    others = [v for v in known if id(v) not in chosen]
    constants = _current(scope, others) if others else []

    def pure(values):
        (value, auxiliary), updated = _run(function, [*variables, *others], [*values, *constants])
        return value, (auxiliary, updated[len(values) :])

    values = _current(scope, variables) if scope else [v.value for v in variables]
    (value, (auxiliary, updates)), gradients = jax.value_and_grad(pure, has_aux=True)(values)
    for variable, update in zip(others, updates, strict=True):
        scope.add_update((variable, update))
    return (value, auxiliary), gradients


def apply_gradients(optimizer: Any, gradients: Sequence[Tensor], variables: Sequence) -> Sequence[Tensor]:
    """One step of an optimizer that was built on these variables, into the state of the step; returns the gradients.

    Through `stateless_apply`: `LossScaleOptimizer.apply` assigns inside of a `lax.cond`, which no scope can follow.
    """
    if not variables:  # of a frozen network, on which Keras builds no optimizer
        return gradients
    scope, _ = _tracing.scopes[-1]
    states = optimizer.variables
    values, new_states = optimizer.stateless_apply(_current(scope, states), gradients, _current(scope, variables))
    for variable, value in zip([*variables, *states], [*values, *new_states], strict=True):
        scope.add_update((variable, value))
    return gradients


def gradient(function: Callable, x: Tensor) -> Tensor:
    """Gradient of the scalar `function(x)` with respect to `x`, itself differentiable."""
    return jax.grad(function)(x)


def vjp(function: Callable, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """`function(x)` and v^T J, J its Jacobian at `x`."""
    value, pull_back = jax.vjp(function, x)
    return value, pull_back(v)[0]


def compiled(model: Any, function: Callable) -> Callable:
    """`function(*tensors)` as one program over the model's values, compiled once for each set of input shapes."""
    variables = model.variables

    @jax.jit
    def program(values, *args):
        return _run(lambda: function(*args), variables, values)[0]

    @functools.wraps(function)
    def run(*args):
        return program([v.value for v in variables], *args)

    return run


def transposed_convolution(x: Tensor, kernel: Tensor) -> Tensor:
    """Twice the sides, by a kernel `[2m, 2m, filters, C]` of stride 2: `[B, H, W, C]` to `[B, 2H, 2W, filters]`.

    y[o] = sum_i x[i] kernel[o - 2i + m - 1]: with o + m - 1 = 2q + a that is, for each a of 0 and 1, a convolution over
    i = q - m + 1 .. q. All four are one convolution here, whose results lie side by side. On CPUs, XLA's gradients of
    transposed convolutions take ten times as long, and so do those of kernels where the convolution itself pads.
    """
    m, filters, channels = len(kernel) // 2, kernel.shape[2], kernel.shape[3]
    taps = jax.numpy.flip(kernel.reshape(m, 2, m, 2, filters, channels), (0, 2))
    taps = taps.transpose(0, 2, 5, 1, 3, 4).reshape(m, m, channels, 4 * filters)
    x = jax.numpy.pad(x, [(0, 0), (m - 1, m - 1), (m - 1, m - 1), (0, 0)])
    y = jax.lax.conv_general_dilated(x, taps, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    b, height, width, _ = y.shape
    y = y.reshape(b, height, width, 2, 2, filters).transpose(0, 1, 3, 2, 4, 5).reshape(b, 2 * height, 2 * width, -1)
    crop = slice(m - 1, 1 - m or None)
    return y[:, crop, crop]


def of_all_processes(array: Array, share: Callable[[], int]) -> Array:
    """The rows `[n, ...]` that each of the processes that train together has, in the order of the global batches.

    Of these each process has `share()` rows. Where some have more rows than others, the last are left out.
    """
    if shares_of_batch() == 1:
        return array
    num, rows = int(multihost_utils.process_allgather(np.array(len(array))).min()), share()
    found = np.asarray(multihost_utils.process_allgather(array[:num]))  # [processes, n, ...]
    whole, rest = np.split(found, [num // rows * rows], axis=1)
    whole = whole.reshape(len(found), -1, rows, *array.shape[1:]).swapaxes(0, 1)
    return np.concatenate([part.reshape(-1, *array.shape[1:]) for part in (whole, rest)])


def shares_of_batch() -> int:
    """How many processes hand in a share of each batch."""
    return 1 if keras.distribution.distribution() is None else jax.process_count()


def is_traced(x: Tensor) -> bool:
    """Whether `x` stands for values that are not known yet."""
    return isinstance(x, jax.core.Tracer)


def notify(callback: Callable[..., Any], *values: Any, after: Tensor) -> None:
    """Calls `callback(*integers)` when a compiled program comes by, and has computed the tensor."""
    computed = jax.numpy.ravel(after)[:1]
    jax.debug.callback(lambda _, *values: callback(*map(int, values)), computed, *values, ordered=True)


def finish_callbacks() -> None:
    """Waits for what programs have yet to call."""
    jax.effects_barrier()


# Keras' calls


class _Kept:
    """States of a model, each a list of `(variable, value)`: that after the last whole step and maybe one not done."""

    def __init__(self, *states: list[tuple]):
        self.states = list(states)


def _pairs(model, state):
    """`(variable, value)` of a state as Keras' steps take it: of training, of evaluation or of prediction."""
    groups = [model.trainable_variables, model.non_trainable_variables]
    if len(state) == 4:
        groups.append(model.optimizer.variables)
    if len(state) > 2:
        groups.append(model.metrics_variables)
    return [pair for group, values in zip(groups, state, strict=True) for pair in zip(group, values, strict=True)]


def _put(pairs):
    for variable, value in pairs:
        variable._value = value


_copied = jax.jit(lambda state: jax.tree.map(jax.numpy.copy, state))


class StateKeeper(keras.Model):
    """Mixed into a `keras.Model` whose Keras calls run in `keeping`: its variables hold their values at all times.

    Keras takes the values out of the variables, hands them to steps to be written over, and puts the last ones back at
    the end of an epoch: what raises before loses them, and what looks meanwhile finds none. Here a step is handed a
    copy, and the variables get its result at once.
    """

    _kept: _Kept | None = None

    def _purge_model_variables(self, **kinds: bool) -> None:
        """Leaves the variables their values."""

    def _make_function(self, step_function: Callable, **settings: Any) -> Callable:
        """What Keras calls in place of the step; `(state, iterator)` to logs and the new state."""
        function = super()._make_function(step_function, **settings)  # type: ignore[misc]

        def run(state, iterator):
            kept = self._kept or _Kept()
            try:
                jax.block_until_ready(state)  # what goes wrong in a program is raised only when its result is needed
                kept.states[:] = [_pairs(self, state)]
                logs, state = function(_copied(state), iterator)
                kept.states.append(_pairs(self, state))
                _put(kept.states[-1])
                return logs, state
            finally:
                self._jax_state_synced = True  # for Keras: the values are in the variables

        return run


@contextlib.contextmanager
def keeping(model: Any) -> Iterator[None]:
    """One of Keras' calls, such as `fit`, that leaves the model as after its last whole step, whatever it raises."""
    groups = (
        *_weights(model),
        model.optimizer.variables if model.optimizer is not None else [],
        model.metrics_variables,
    )
    outer, model._kept = model._kept, _Kept([(v, v._value) for group in groups for v in group])
    try:
        yield
        jax.block_until_ready([v._value for v in model.variables])
    except BaseException:
        for pairs in reversed(model._kept.states):
            try:
                jax.block_until_ready([value for _, value in pairs])
            except jax.errors.JaxRuntimeError:
                continue  # this is the step that failed
            _put(pairs)
            break
        raise
    finally:
        model._kept = outer
        model._jax_state, model._jax_state_synced = None, True


def footprint(function: Callable, *arrays: Any) -> tuple[int, tuple[int, ...]]:
    """Bytes that `function(*arrays)` holds at once, as its program says, and the shape of its result; nothing is run.

    An array, NumPy or `None`, counts by its shape and dtype alone.
    """
    structs = [None if array is None else jax.ShapeDtypeStruct(array.shape, array.dtype) for array in arrays]
    program, result = jax.make_jaxpr(lambda *args: function(*args), return_shape=True)(*structs)
    return _peak(program.jaxpr), tuple(result.shape)


def _peak(program):
    """Bytes alive at once if equations run in their order; bodies of loops and calls count where they are."""
    last = {v: index for index, equation in enumerate(program.eqns) for v in equation.invars if not hasattr(v, "val")}
    freed: dict[int, int] = {}  # by the equation after which nothing reads it
    live = peak = 0
    for index, equation in enumerate(program.eqns):
        for v in equation.outvars:
            size = math.prod(v.aval.shape) * v.aval.dtype.itemsize
            live += size
            end = last.get(v, index)
            freed[end] = freed.get(end, 0) + size
        inner = max((_peak(part) for part in jaxprs_in_params(equation.params)), default=0)
        peak = max(peak, live + inner)
        live -= freed.pop(index, 0)
    return peak
