"""What every bijector must do, checked against the autodiff Jacobian."""

import keras
import numpy as np
from keras import ops

from kerasgen import backend


def jacobian(function, x):
    """Jacobian `[B, outputs, inputs]` of a map from `[B, inputs]` to `[B, outputs]`, example by example."""
    framework = keras.backend.backend()
    if framework == "tensorflow":
        import tensorflow as tf

        x = tf.convert_to_tensor(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return tape.batch_jacobian(y, x).numpy()
    if framework == "jax":
        import jax

        return np.asarray(jax.jit(jax.vmap(jax.jacrev(lambda row: function(row[None])[0])))(ops.array(x)))
    import torch

    rows = [
        torch.autograd.functional.jacobian(lambda row: function(row[None])[0], row[0]) for row in ops.array(x).split(1)
    ]
    return torch.stack(rows).numpy()


def randomise(layer, scale=0.1, seed=0):
    """Moves every trainable variable by normal noise, so that nothing is the identity that it starts as."""
    rng = np.random.default_rng(seed)
    for variable in layer.trainable_variables:
        variable.assign(ops.convert_to_numpy(variable.value) + scale * rng.standard_normal(variable.shape))
    return layer


def flat(tensors):
    """One tensor, or the pair of a `Split`, as `[B, D]`."""
    parts = tensors if isinstance(tensors, (tuple, list)) else [tensors]
    return ops.concatenate([ops.reshape(part, (part.shape[0], -1)) for part in parts], axis=-1)


def check_bijector(bijector, x, condition=None):
    """Inverse to 1e-5; log-determinants that cancel and are the Jacobian's to 1e-4."""
    x = ops.convert_to_tensor(np.asarray(x, np.float32))

    def there_and_back(x):
        z, log_det = bijector.forward_and_log_det(x, condition)
        return z, log_det, *bijector.inverse_and_log_det(z, condition)

    z, log_det, back, inverse_log_det = backend.compiled(bijector, there_and_back)(x)
    assert tuple(log_det.shape) == tuple(inverse_log_det.shape) == (x.shape[0],)
    np.testing.assert_allclose(ops.convert_to_numpy(back), ops.convert_to_numpy(x), rtol=0, atol=1e-5)
    np.testing.assert_allclose(
        ops.convert_to_numpy(log_det), -ops.convert_to_numpy(inverse_log_det), rtol=1e-5, atol=1e-4
    )
    z = flat(z)
    assert z.shape[-1] == int(np.prod(bijector.shape))

    def forward(rows):
        # One example at a time: a condition is the same for all of them here.
        given = None if condition is None else ops.broadcast_to(condition[:1], (rows.shape[0], *condition.shape[1:]))
        return flat(bijector.forward_and_log_det(ops.reshape(rows, (rows.shape[0], *bijector.shape)), given)[0])

    matrices = jacobian(forward, ops.convert_to_numpy(flat(x)))
    _, expected = np.linalg.slogdet(matrices.astype(np.float64))
    np.testing.assert_allclose(ops.convert_to_numpy(log_det), expected, rtol=1e-4, atol=1e-4)
