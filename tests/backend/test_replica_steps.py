"""What `kerasgen.backend` does on two replicas of a TensorFlow strategy: sums, shares, the steps of one device."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasgen import backend
from kerasgen.errors import InputError
from tests.test_replicas import mirrored

pytestmark = pytest.mark.backend("tensorflow")


def run(strategy, function, values):
    """Results of `function(value)` on the replicas, each with its own of the values, `[2, ...]`."""
    import tensorflow as tf

    mine = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(values[context.replica_id_in_sync_group])
    )
    results = strategy.run(tf.function(function, autograph=False), args=(mine,))
    return np.stack([r.numpy() for r in strategy.experimental_local_results(results)])


@pytest.mark.parametrize("shares", [(17, 16), (1, 0), (0, 0)])
def test_rows_and_sums(shares):
    """Where each share begins in the global batch, and its size."""
    rows = run(mirrored(), lambda num: ops.stack(backend.replica_rows(num)), np.int32(shares))
    np.testing.assert_array_equal(rows, [[0, sum(shares)], [shares[0], sum(shares)]])
    sums = run(mirrored(), backend.replica_sum, np.float32(shares))
    np.testing.assert_array_equal(sums, [sum(shares)] * 2)


def test_one_device_is_the_whole_batch():
    assert backend.replica_rows(5) == (0, 5)
    assert float(backend.replica_sum(ops.convert_to_tensor(3.0))) == 3.0


# Of three steps: the replicas' parts disagree in sign and size, so that to clip the parts is not to clip the sum.
PARTS = np.float32([[[3.0, -1.0], [0.2, 0.1], [5.0, 5.0]], [[-2.5, 4.0], [0.1, 0.2], [-5.0, 1.0]]])
OPTIMIZERS = {
    "plain": lambda: keras.optimizers.SGD(1.0),
    "clipnorm": lambda: keras.optimizers.SGD(1.0, clipnorm=0.5),
    "clipvalue": lambda: keras.optimizers.SGD(1.0, clipvalue=0.5),
    "global_clipnorm": lambda: keras.optimizers.SGD(1.0, momentum=0.9, global_clipnorm=1e-3),
    "average": lambda: keras.optimizers.AdamW(0.1, global_clipnorm=0.5, use_ema=True, ema_momentum=0.5),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1.0, clipnorm=0.5), initial_scale=4.0),
}


def after(make, parts, strategy=None):
    """Weights and the optimizer's state after a step for each gradient, the parts summed unless there is a strategy."""

    def build():
        variables = [keras.Variable([1.0], name="a"), keras.Variable([2.0], name="b")]
        optimizer = make()
        optimizer.build(variables)
        return variables, optimizer

    if strategy is None:
        variables, optimizer = build()
        for gradient in parts.sum(axis=0):
            backend.apply_gradients(optimizer, list(ops.convert_to_tensor(gradient[:, None])), variables)
    else:
        with strategy.scope():
            variables, optimizer = build()

        def step(gradient):
            backend.apply_gradients(optimizer, [gradient[:1], gradient[1:]], variables)
            return gradient

        for i in range(parts.shape[1]):
            run(strategy, step, parts[:, i])
    return [ops.convert_to_numpy(v) for v in (*variables, *optimizer.variables)]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_two_replicas_clip_the_sum(name):
    """The step of one device, whatever the optimizer does to gradients before it."""
    one, two = after(OPTIMIZERS[name], PARTS), after(OPTIMIZERS[name], PARTS, mirrored())
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-6)


def test_accumulation_is_refused():
    def accumulating():
        return keras.optimizers.SGD(1.0, gradient_accumulation_steps=3)

    for make in (accumulating, lambda: keras.optimizers.LossScaleOptimizer(accumulating())):
        with pytest.raises(InputError, match="gradient_accumulation_steps is 3"):
            after(make, PARTS, mirrored())


def test_a_step_that_overflows_on_the_second_replica_is_skipped_by_both():
    """And the scale of the loss is halved, as on one device."""
    parts = np.float32([[[1.0, 1.0]], [[np.inf, 1.0]]])
    first, second, *state = after(OPTIMIZERS["scaled"], parts, mirrored())
    np.testing.assert_array_equal([first[0], second[0]], [1.0, 2.0])
    assert 2.0 in [float(v) for v in state if v.dtype == np.float32 and v.ndim == 0]
