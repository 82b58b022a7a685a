"""JAX: one stateful style over Keras' stateless scopes.

Keras trains on JAX through pure functions of four lists of values. A step here is written as on the other backends; it
runs in a `keras.StatelessScope` that holds the traced values, and the new state is read back from the scope.
"""

import functools
import math

import jax
import keras

from kerasgen.backend import plain
from kerasgen.typing import Any, Callable, Sequence, Tensor

replica_seed, replica_mean, jit_compile = plain.replica_seed, plain.replica_mean, plain.jit_compile

_scopes: list[tuple] = []  # [(scope, its variables)] of the steps being traced, innermost last


def _current(scope, variables):
    """Values of the variables inside the scope."""
    return [scope.get_current_value(v) for v in variables]


def _run(function, variables, values):
    """`function()` with the variables set to the values: its result and the variables' new values."""
    with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))) as scope:
        _scopes.append((scope, variables))
        try:
            result = function()
        finally:
            _scopes.pop()
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
    scope, known = _scopes[-1] if _scopes else (None, [])
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


def apply_gradients(optimizer: Any, gradients: Sequence[Tensor], variables: Sequence) -> None:
    """One step of an optimizer that was built on these variables, into the state of the step being traced.

    Through `stateless_apply`: `LossScaleOptimizer.apply` assigns inside of a `lax.cond`, which no scope can follow.
    """
    scope, _ = _scopes[-1]
    states = optimizer.variables
    values, new_states = optimizer.stateless_apply(_current(scope, states), gradients, _current(scope, variables))
    for variable, value in zip([*variables, *states], [*values, *new_states], strict=True):
        scope.add_update((variable, value))


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


def unshare(variables: Sequence) -> None:
    """Gives each variable an array of its own.

    Assigning one variable to another makes both hold one array, and the next step, which gives its arrays away to be
    written over, cannot give one away twice.
    """
    for variable in variables:
        variable.assign(jax.numpy.array(variable.value, copy=True))


def notify(callback: Callable[[int], Any], index: Tensor) -> None:
    """Calls `callback(int)` when a compiled program comes by."""
    jax.debug.callback(lambda i: callback(int(i)), index, ordered=True)


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
        inner = max((_peak(part) for part in jax.core.jaxprs_in_params(equation.params)), default=0)
        peak = max(peak, live + inner)
        live -= freed.pop(index, 0)
    return peak
