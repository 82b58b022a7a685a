"""TensorFlow: gradient tapes, `tf.function`, replicas of `tf.distribute`."""

import functools
import math

import tensorflow as tf

from kerasgen.backend.plain import test_step as test_step, train_step as train_step, unshare as unshare
from kerasgen.typing import Any, Callable, Sequence, Tensor


def value_and_grad(function: Callable, variables: Sequence) -> tuple[tuple[Tensor, Any], list[Tensor]]:
    """`(value, auxiliary), gradients` of `function() -> (scalar, auxiliary)`; zeros where nothing connects.

    Optimizers sum gradients over the replicas of a strategy, so each replica's are divided by the number of replicas:
    the step is then that of the mean over the global batch, equal shares assumed.
    """
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([v.value for v in variables])
        value, auxiliary = function()
        scaled = value / tf.cast(replicas, value.dtype)
    gradients = tape.gradient(scaled, [v.value for v in variables], unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return (value, auxiliary), gradients


def apply_gradients(optimizer: Any, gradients: Sequence[Tensor], variables: Sequence) -> None:
    """One step of an optimizer that was built on these variables, in place."""
    optimizer.apply(gradients, variables)


def gradient(function: Callable, x: Tensor) -> Tensor:
    """Gradient of the scalar `function(x)` with respect to `x`, itself differentiable."""
    x = tf.convert_to_tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(x)
    return tape.gradient(value, x, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def vjp(function: Callable, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """`function(x)` and v^T J, J its Jacobian at `x`; without a gradient of their own."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(x)
    return value, tape.gradient(value, x, output_gradients=v, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def compiled(model: Any, function: Callable) -> Callable:
    """`function(*tensors)` as one graph, traced once for each set of input shapes.

    TensorFlow counts traces by a function's code and warns of many; a partial has none, so that each is counted alone.
    """
    return tf.function(functools.partial(function), autograph=False)


def replica_seed(seed: Tensor) -> Tensor:
    """A seed `[2]` that differs from replica to replica.

    Every replica reads the same numbers from a `keras.random.SeedGenerator`; the replica's id tells them apart.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return seed
    offset = tf.cast(context.replica_id_in_sync_group, seed.dtype) * 0x9E3779B1
    return seed + tf.stack([offset, tf.zeros_like(offset)])


def replica_mean(x: Tensor) -> Tensor:
    """The mean of `x` over the replicas that step together; differentiable."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return x
    return context.all_reduce(tf.distribute.ReduceOp.MEAN, x)


def jit_compile() -> Any:
    """What `compile(jit_compile="auto")` should mean: XLA slows a convolutional VAE down by 1.6 on CPUs."""
    return "auto" if tf.config.list_physical_devices("GPU") else False


def notify(callback: Callable[[int], Any], index: Tensor) -> None:
    """Calls `callback(int)` when a compiled program comes by."""
    tf.py_function(lambda i: callback(int(i)), [index], [])


def footprint(function: Callable, *arrays: Any) -> tuple[int, tuple[int, ...]]:
    """Bytes that `function(*arrays)` holds at once, as its graph says, and the shape of its result; nothing is run.

    An array, NumPy or `None`, counts by its shape and dtype alone.
    """
    specs = [None if array is None else tf.TensorSpec(array.shape, array.dtype) for array in arrays]
    traced = tf.function(functools.partial(function), autograph=False).get_concrete_function(*specs)
    return _peak(traced.graph), tuple(traced.structured_outputs.shape)


def _peak(graph):
    """Bytes alive at once if operations run in the order of their making; bodies of loops count where they are."""
    operations = graph.get_operations()
    last = {tensor.ref(): index for index, operation in enumerate(operations) for tensor in operation.inputs}
    freed: dict[int, int] = {}  # by the operation after which nothing reads it
    live = peak = 0
    for index, operation in enumerate(operations):
        for tensor in operation.values():
            size = math.prod(side or 1 for side in tensor.shape) * tensor.dtype.size if tensor.shape.rank else 0
            live += size
            end = last.get(tensor.ref(), index)
            freed[end] = freed.get(end, 0) + size
        names = [value.func.name for value in operation.node_def.attr.values() if value.HasField("func")]
        inner = max((_peak(graph._get_function(name).graph) for name in names), default=0)
        peak = max(peak, live + inner)
        live -= freed.pop(index, 0)
    return peak
