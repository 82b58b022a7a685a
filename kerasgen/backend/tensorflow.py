"""TensorFlow: gradient tapes, `tf.function`, replicas of `tf.distribute`."""

import contextlib
import functools
import math
import threading
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from kerasgen.backend import plain
from kerasgen.backend.plain import (
    finish_callbacks as finish_callbacks,
    keeping as keeping,
    of_all_processes as of_all_processes,
    shares_of_batch as shares_of_batch,
    test_step as test_step,
    train_step as train_step,
    transposed_convolution as transposed_convolution,
)
from kerasgen.errors import InputError
from kerasgen.typing import Any, Callable, Sequence, Tensor

SYNCHRONIZED = True  # see kerasgen.backend.plain
LARGE = 4096  # values of a tensor, or of an example of an unknown number of them, that are worth a kernel


class StateKeeper:
    """Mixed into a `keras.Model` whose Keras calls run in `keeping`: a step that gets no batch counts for nothing.

    TensorFlow runs what needs no data, the counters of seeds and of steps, though the next batch raises.
    """

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Nothing: models are built. Keras would sum the first batch over the workers, which uint8 has no sum for."""

    def _make_function(self, step_function: Callable) -> Callable:
        model: Any = self
        if isinstance(model.distribute_strategy, tf.distribute.MultiWorkerMirroredStrategy):
            step_function = _logs_of_one_row(step_function)
        function = super()._make_function(step_function)  # type: ignore[misc]
        states = (*model.non_trainable_variables, *(model.optimizer.variables if model.optimizer is not None else ()))
        counters = [v for v in states if "int" in v.dtype]

        def run(iterator):
            before = [v.numpy() for v in counters]
            try:
                return function(iterator)
            except tf.errors.OpError:  # not an interrupt, which comes between steps
                for variable, value in zip(counters, before, strict=True):
                    variable.assign(value)
                raise

        return run


def _logs_of_one_row(step):
    """The step with logs `[1]`: Keras takes means over the first axis of what several workers give."""

    @functools.wraps(step)
    def wrapped(data):
        return tf.nest.map_structure(lambda log: tf.reshape(log, (1,)), step(data))

    return wrapped


def value_and_grad(function: Callable, variables: Sequence) -> tuple[tuple[Tensor, Any], list[Tensor]]:
    """`(value, auxiliary), gradients` of `function() -> (scalar, auxiliary)`; zeros where nothing connects.

    Under a strategy the scalar is this replica's part of a sum over the global batch, and so are the gradients. Of rows
    that were looked up several times they are summed: optimizers square what they are given.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([v.value for v in variables])
        with _kernels_allowed():
            value, auxiliary = function()
    gradients = tape.gradient(value, [v.value for v in variables], unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return (value, auxiliary), [tf.convert_to_tensor(g) for g in gradients]


def apply_gradients(optimizer: Any, gradients: Sequence[Tensor], variables: Sequence) -> Sequence[Tensor]:
    """One step of an optimizer that was built on these variables, in place; the gradients, over all replicas.

    Keras' optimizers clip a replica's gradients, and then sum them over the replicas. So the sum is made before: the
    first replica hands it over, the others zeros. Where it is not finite all hand over NaN, so that all skip the step
    where the loss is scaled.

    Raises `InputError`: the optimizer accumulates gradients, which Keras cannot among replicas that update together.
    """
    context = tf.distribute.get_replica_context()
    if context is not None and context.num_replicas_in_sync > 1:
        accumulates = getattr(optimizer, "inner_optimizer", optimizer).gradient_accumulation_steps
        if accumulates and not tf.__internal__.distribute.strategy_supports_no_merge_call():
            strategy = type(context.strategy).__name__
            raise InputError(f"gradient_accumulation_steps is {accumulates}, which {strategy} cannot do: ask for 1.")
        first = tf.equal(tf.cast(context.replica_id_in_sync_group, "int32"), 0)
        summed = replica_sum(list(gradients))
        optimizer.apply([g * tf.cast(first, g.dtype) for g in summed], variables)
        return summed
    optimizer.apply(gradients, variables)
    return gradients


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

    def program(*tensors):
        with _kernels_allowed():
            return function(*tensors)

    return tf.function(functools.partial(program), autograph=False)


class _Tracing(threading.local):
    """Whether this thread traces a program that runs here, as what is exported may not."""

    runs_here = False


_tracing = _Tracing()


@contextlib.contextmanager
def _kernels_allowed() -> Iterator[None]:
    before, _tracing.runs_here = _tracing.runs_here, True
    try:
        yield
    finally:
        _tracing.runs_here = before


def gelu(x: Tensor) -> Tensor:
    """See `kerasgen.backend.plain.gelu`. In programs of steps and samples on CPUs XLA makes one kernel of it.

    TensorFlow reads and writes memory for each of its operations, and converts for each what has 16 bits. Small tensors
    are not worth the tenth of a second that a kernel takes to be made, and what is exported runs where there is no XLA.
    """
    return _gelu_kernel(x) if _deserves_kernel(x) else plain.gelu(x)


def silu(x: Tensor) -> Tensor:
    """See `kerasgen.backend.plain.silu`. Of its gradient XLA makes a kernel, as of `gelu`; oneDNN has one of itself."""
    return _silu_kernel(x) if _deserves_kernel(x) else plain.silu(x)


def _deserves_kernel(x):
    return (
        _tracing.runs_here
        and tf.inside_function()
        and math.prod(side or 1 for side in x.shape) >= LARGE
        and _xla_on_cpus()
    )


@functools.cache
def _xla_on_cpus():
    """Whether there are CPUs alone, and this TensorFlow was built with XLA for them."""
    if tf.config.list_physical_devices("GPU") or tf.config.list_logical_devices("TPU"):
        return False
    with tf.init_scope():
        try:
            return bool(_kernel(lambda x: x + 1.0)(tf.zeros(())) == 1.0)
        except tf.errors.OpError:
            return False


def _kernel(function):
    """A function of tensors as a kernel of its own, made once for each set of shapes."""
    return tf.function(functools.partial(function), autograph=False, jit_compile=True)


def _cumulative(x):
    """The standard normal distribution function."""
    return 0.5 * (1.0 + tf.math.erf(x * math.sqrt(0.5)))


@_kernel
def _gelu(x):
    y = tf.cast(x, "float32")
    return tf.cast(y * _cumulative(y), x.dtype)


@_kernel
def _gelu_gradient(x, upstream):
    y = tf.cast(x, "float32")
    slope = _cumulative(y) + y * tf.exp(-0.5 * tf.square(y)) * (1.0 / math.sqrt(2.0 * math.pi))
    return tf.cast(tf.cast(upstream, "float32") * slope, x.dtype)


@tf.custom_gradient
def _gelu_kernel(x):
    return _gelu(x), functools.partial(_gelu_gradient, x)


@_kernel
def _silu_gradient(x, upstream):
    y = tf.cast(x, "float32")
    gate = tf.sigmoid(y)
    return tf.cast(tf.cast(upstream, "float32") * gate * (1.0 + y * (1.0 - gate)), x.dtype)


@tf.custom_gradient
def _silu_kernel(x):
    return tf.nn.silu(x), functools.partial(_silu_gradient, x)


def replica_seed(seed: Tensor) -> Tensor:
    """A seed `[2]` that differs from replica to replica.

    Every replica reads the same numbers from a `keras.random.SeedGenerator`; the replica's id tells them apart.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return seed
    offset = tf.cast(context.replica_id_in_sync_group, seed.dtype) * 0x9E3779B1
    return seed + tf.stack([offset, tf.zeros_like(offset)])


def replica_sum(x: Any) -> Any:
    """The sum of a tensor, or of each of a list, over the replicas that step together."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return x
    return context.all_reduce(tf.distribute.ReduceOp.SUM, x)


def replica_rows(num: Any) -> tuple[Any, Any]:
    """`(start, total)`: where this replica's `num` examples begin in the global batch, and how many that has.

    The replicas' shares come in the order of their numbers; they may differ, and be 0.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return 0, num
    replica = tf.cast(context.replica_id_in_sync_group, "int32")
    replicas = tf.range(context.num_replicas_in_sync)
    shares = replica_sum(tf.where(replicas == replica, tf.cast(num, "int32"), 0))
    return tf.reduce_sum(tf.where(replicas < replica, shares, 0)), tf.reduce_sum(shares)


def replica_gather(x: Tensor) -> Tensor:
    """The rows of `x` of all replicas that step together, in the order of their numbers."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return x
    return context.all_gather(x, axis=0)


def attention(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    """See `kerasgen.backend.plain.attention`. Keras scales and masks scores; scaled queries and a bias cost less."""
    q, k, v = (tf.transpose(x, (0, 2, 1, 3)) for x in (q * q.shape[-1] ** -0.5, k, v))
    scores = tf.cast(tf.matmul(q, k, transpose_b=True), "float32")
    if causal:
        later = np.triu(np.ones((q.shape[2], k.shape[2]), np.float32), 1)
        scores -= 1e9 * later
    return tf.transpose(tf.matmul(tf.cast(tf.nn.softmax(scores), v.dtype), v), (0, 2, 1, 3))


def is_traced(x: Tensor) -> bool:
    """Whether `x` stands for values that are not known yet."""
    return not hasattr(x, "numpy")


def some_rows(function: Callable, x: Tensor) -> Tensor:
    """`function(x)`, from a leading axis B to one, also where B is 0, as a replica's share of a batch can be.

    Some operations cannot take that: convolutions of oneDNN give results of a wrong shape, padding by reflection fails.
    They get a row of zeros instead, which is cut off again; where there are rows, nothing is copied.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return function(x)
    rows = tf.shape(x)[0]
    more = tf.cast(rows == 0, rows.dtype)
    padded = tf.pad(x, [[0, more], *[[0, 0]] * (len(x.shape) - 1)])
    padded.set_shape([None, *x.shape[1:]])
    return function(padded)[:rows]


def jit_compile() -> Any:
    """What `compile(jit_compile="auto")` should mean: XLA slows a convolutional VAE down by 1.6 on CPUs."""
    return "auto" if tf.config.list_physical_devices("GPU") else False


def notify(callback: Callable[..., Any], *values: Any, after: Tensor) -> None:
    """Calls `callback(*integers)` when a compiled program comes by, and has computed the tensor."""
    with tf.control_dependencies([after]):
        tf.py_function(lambda *values: callback(*map(int, values)), values, [])


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
