"""The functions of `kerasgen.backend` mean the same on every backend."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasgen import backend


class TwoPlayers(keras.Model):
    """A model with two players, batch normalization, dropout and a seed generator: every kind of state."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.a = keras.Sequential(
            [keras.Input((4,)), layers.Dense(8), layers.BatchNormalization(), layers.Dropout(0.3, seed=1)], name="a"
        )
        self.b = keras.Sequential([keras.Input((8,)), layers.Dense(2)], name="b")
        self.seed_generator = keras.random.SeedGenerator(3)
        self.tracker = keras.metrics.Mean(name="loss")
        self.built = True

    @property
    def metrics(self):
        return [self.tracker]

    def loss_of(self, x):
        noise = keras.random.normal(ops.shape(x), seed=self.seed_generator)
        return ops.mean(ops.square(self.b(self.a(x + 0.1 * noise, training=True))))

    @backend.train_step
    def train_step(self, data):
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        for player in (self.a, self.b):
            (loss, _), gradients = backend.value_and_grad(lambda: (self.loss_of(x), ()), player.trainable_variables)
            for variable, gradient in zip(player.trainable_variables, gradients, strict=True):
                variable.assign(variable - 0.1 * gradient)
        self.tracker.update_state(loss)
        return {"loss": self.tracker.result()}

    @backend.test_step
    def test_step(self, data):
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        self.tracker.update_state(self.loss_of(x))
        return {"loss": self.tracker.result()}


def test_two_players_train_and_every_state_moves():
    keras.utils.set_random_seed(0)
    model = TwoPlayers()
    model.compile(optimizer="sgd")
    x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    before = {v.path: ops.convert_to_numpy(v) for v in model.variables if "loss" not in v.path}
    first = model.fit(x, batch_size=16, epochs=1, verbose=0).history["loss"][0]
    last = model.fit(x, batch_size=16, epochs=4, verbose=0).history["loss"][-1]
    assert last < 0.7 * first
    still = [path for path, value in before.items() if np.array_equal(value, _value(model, path))]
    # The bias before batch normalization has no gradient but rounding; everything else moves.
    assert [path for path in still if not path.endswith("dense/bias")] == []


def test_evaluate_moves_the_seed_and_no_weight():
    model = TwoPlayers()
    model.compile(optimizer="sgd")
    x = np.ones((8, 4), "float32")
    weights = [ops.convert_to_numpy(v) for v in model.trainable_variables]
    seed = ops.convert_to_numpy(model.seed_generator.state)
    assert np.isfinite(model.evaluate(x, verbose=0))
    assert all(np.array_equal(w, v) for w, v in zip(weights, model.trainable_variables, strict=True))
    assert not np.array_equal(seed, model.seed_generator.state)


def _value(model, path):
    return next(ops.convert_to_numpy(v) for v in model.variables if v.path == path)


def test_value_and_grad_of_a_known_function():
    w = keras.Variable([1.0, -2.0, 3.0])
    unused = keras.Variable([5.0])
    (value, auxiliary), (grad_w, grad_unused) = backend.value_and_grad(
        lambda: (ops.sum(w * w * w), {"two": 2 * ops.convert_to_tensor(w)}), [w, unused]
    )
    assert float(value) == pytest.approx(20.0)
    np.testing.assert_allclose(ops.convert_to_numpy(grad_w), [3.0, 12.0, 27.0], rtol=1e-6)
    np.testing.assert_allclose(ops.convert_to_numpy(grad_unused), [0.0])
    np.testing.assert_allclose(ops.convert_to_numpy(auxiliary["two"]), [2.0, -4.0, 6.0])


def test_gradient_is_differentiable():
    """d/dw of |grad_x sum(w x^3)|^2 at w = 1, x = (1, 2): grad = 3 w x^2, so 2 * (9 + 144)."""
    w = keras.Variable(1.0)
    x = ops.convert_to_tensor([1.0, 2.0])

    def penalty():
        grad = backend.gradient(lambda x: ops.sum(w * x**3), x)
        return ops.sum(ops.square(grad)), ()

    (value, _), (grad_w,) = backend.value_and_grad(penalty, [w])
    assert float(value) == pytest.approx(153.0)
    assert float(ops.convert_to_numpy(grad_w)) == pytest.approx(306.0)


def test_vjp():
    """v^T J of (x_0 x_1, x_0^2) at (2, 3)."""
    x, v = ops.convert_to_tensor([2.0, 3.0]), ops.convert_to_tensor([1.0, 10.0])
    value, product = backend.vjp(lambda x: ops.stack([x[0] * x[1], x[0] * x[0]]), x, v)
    np.testing.assert_allclose(ops.convert_to_numpy(value), [6.0, 4.0])
    np.testing.assert_allclose(ops.convert_to_numpy(product), [43.0, 2.0])


def test_compiled_reads_current_variables_and_changes_none():
    dense = layers.Dense(2)
    model = keras.Sequential([keras.Input((3,)), dense, layers.BatchNormalization()])
    program = backend.compiled(model, lambda x: model(x, training=False))
    x = ops.convert_to_tensor(np.ones((4, 3), "float32"))
    np.testing.assert_allclose(ops.convert_to_numpy(program(x)), ops.convert_to_numpy(model(x)), atol=1e-6)
    dense.kernel.assign(2.0 * dense.kernel)
    np.testing.assert_allclose(ops.convert_to_numpy(program(x)), ops.convert_to_numpy(model(x)), atol=1e-6)


class Table(keras.Model):
    """Rows of a table, looked up or by a product with one-hot rows."""

    def __init__(self, looked_up):
        super().__init__()
        self.looked_up, self.built = looked_up, True
        self.table = self.add_weight(shape=(3, 2), initializer=keras.initializers.RandomNormal(seed=1))

    @backend.train_step
    def train_step(self, data):
        x, weights, _ = keras.utils.unpack_x_y_sample_weight(data)

        def loss():
            rows = ops.take(self.table, x, axis=0) if self.looked_up else ops.matmul(ops.one_hot(x, 3), self.table)
            return ops.sum(ops.square(rows) * weights[..., None]), None

        (value, _), gradients = backend.value_and_grad(loss, self.trainable_variables)
        backend.apply_gradients(self.optimizer, gradients, self.trainable_variables)
        return {"loss": value}


def test_rows_that_are_looked_up_twice():
    """Adam moves an embedding as it moves the kernel of the same product with one-hot rows."""
    x = np.array([[0, 1, 1, 1], [2, 1, 0, 1]])
    weights = np.arange(8.0, dtype="float32").reshape(2, 4)
    moved = []
    for looked_up in (True, False):
        model = Table(looked_up)
        model.compile(keras.optimizers.Adam(0.1))
        model.fit(x, weights, epochs=3, batch_size=2, shuffle=False, verbose=0)
        moved.append(ops.convert_to_numpy(model.table))
    np.testing.assert_allclose(*moved, atol=1e-6)
