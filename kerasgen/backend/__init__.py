"""The only place that knows the framework under Keras.

`tensorflow.py`, `jax.py` and `torch.py` offer the same functions, and `keras.backend.backend()` decides which are used:

- `train_step(method)`, `test_step(method)`: turn a step written in the stateful style, `step(self, data) -> logs`, into
  what Keras calls on this backend.
- `value_and_grad(function, variables)`: value, auxiliary output and gradients of a function that returns
  `(scalar, auxiliary)`. Under a TensorFlow strategy the gradients are divided by the number of replicas, because
  optimizers sum them.
- `apply_gradients(optimizer, gradients, variables)`: one step of an optimizer built on these variables.
- `gradient(function, x)`: gradient of a scalar function with respect to a tensor, itself differentiable.
- `vjp(function, x, v)`: `function(x)` and the product of `v` with its Jacobian.
- `compiled(model, function)`: `function` as one compiled program that reads the model's variables and changes none.
- `replica_seed(seed)`: a seed that differs from replica to replica, from one that is the same on all.
- `replica_mean(x)`: the mean of a tensor over replicas.
- `jit_compile()`: the default of `compile(jit_compile=...)`.
- `unshare(variables)`: gives variables memory of their own after one was assigned to another.
- `notify(callback, index)`: calls a Python function with an integer from inside a compiled program.
"""

import importlib

import keras

_module = importlib.import_module(f"kerasgen.backend.{keras.backend.backend()}")

train_step = _module.train_step
test_step = _module.test_step
value_and_grad = _module.value_and_grad
apply_gradients = _module.apply_gradients
gradient = _module.gradient
vjp = _module.vjp
compiled = _module.compiled
replica_seed = _module.replica_seed
replica_mean = _module.replica_mean
jit_compile = _module.jit_compile
unshare = _module.unshare
notify = _module.notify

__all__ = [
    "apply_gradients",
    "compiled",
    "gradient",
    "jit_compile",
    "notify",
    "replica_mean",
    "replica_seed",
    "test_step",
    "train_step",
    "unshare",
    "value_and_grad",
    "vjp",
]
