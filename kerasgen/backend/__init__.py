"""The only place that knows the framework under Keras: the same functions for TensorFlow, JAX and PyTorch.

With them a `keras.Model` trains by one `train_step` on all three (docs/train-steps.md has a worked example). It is
written in the stateful style: it changes variables in place and returns logs. On JAX it is traced into a pure function
of the model's state, from which follow three rules, which cost nothing elsewhere:

- A step changes only variables that Keras knows: the weights of the model and its layers, the states of its seed
  generators, the variables of `self.optimizer`, and those of the metrics that `self.metrics` lists.
- Gradients come from `value_and_grad`, and weights change by `apply_gradients` or `assign`.
- Nothing else that is traced is kept: no tensor as an attribute of the model.
"""

import importlib
from typing import TYPE_CHECKING

import keras

if TYPE_CHECKING:
    from kerasgen.backend import tensorflow as _backend
else:
    _backend = importlib.import_module(f"kerasgen.backend.{keras.backend.backend()}")

train_step = _backend.train_step
test_step = _backend.test_step
value_and_grad = _backend.value_and_grad
apply_gradients = _backend.apply_gradients
gradient = _backend.gradient
vjp = _backend.vjp
compiled = _backend.compiled
replica_seed = _backend.replica_seed
is_traced = _backend.is_traced
replica_sum = _backend.replica_sum
replica_rows = _backend.replica_rows
replica_gather = _backend.replica_gather
of_all_processes = _backend.of_all_processes
shares_of_batch = _backend.shares_of_batch
jit_compile = _backend.jit_compile
SYNCHRONIZED = _backend.SYNCHRONIZED
some_rows = _backend.some_rows
transposed_convolution = _backend.transposed_convolution
attention = _backend.attention
gelu, silu = _backend.gelu, _backend.silu
notify = _backend.notify
finish_callbacks = _backend.finish_callbacks
StateKeeper = _backend.StateKeeper
keeping = _backend.keeping
footprint = _backend.footprint
