"""PyTorch: `torch.autograd.grad`, eager sampling without gradients."""

import contextlib
import functools
import weakref
from collections.abc import Iterator

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from kerasgen.backend import plain
from kerasgen.backend.memory import keep_freed_memory
from kerasgen.typing import Any, Callable, Sequence, Tensor

StateKeeper, finish_callbacks, replica_seed = plain.StateKeeper, plain.finish_callbacks, plain.replica_seed
replica_sum, replica_rows = plain.replica_sum, plain.replica_rows
replica_gather, jit_compile = plain.replica_gather, plain.jit_compile
SYNCHRONIZED, some_rows, of_all_processes = plain.SYNCHRONIZED, plain.some_rows, plain.of_all_processes
shares_of_batch = plain.shares_of_batch
transposed_convolution, attention = plain.transposed_convolution, plain.attention
gelu, silu = plain.gelu, plain.silu

keep_freed_memory()


def _whole(method):
    """The step, which on an error puts back what it has changed: Python runs it line by line, and any may raise."""

    @functools.wraps(method)
    def step(self, data):
        optimizer = self.optimizer.variables if self.optimizer is not None else []
        tensors = [v.value for v in (*self.variables, *self.metrics_variables, *optimizer)]
        with torch.no_grad():
            before = [t.clone() for t in tensors]
        try:
            return method(self, data)
        except BaseException:
            with torch.no_grad():
                for tensor, value in zip(tensors, before, strict=True):
                    tensor.copy_(value)
            raise

    return step


def train_step(method: Callable) -> Callable:
    """Decorates `train_step(self, data) -> logs` of a `keras.Model`: see `kerasgen.backend.plain.train_step`."""
    return _whole(method)


def test_step(method: Callable) -> Callable:
    """Decorates `test_step(self, data) -> logs`, for `evaluate`, as `train_step` does for `fit`."""
    return _whole(method)


@contextlib.contextmanager
def keeping(model: Any) -> Iterator[None]:
    """One of Keras' calls, such as `fit`, that leaves the model as after its last whole step, whatever it raises."""
    try:
        yield
    except BaseException:
        model.eval()  # Keras leaves PyTorch's layers in training
        raise


def value_and_grad(function: Callable, variables: Sequence) -> tuple[tuple[Tensor, Any], list[Tensor]]:
    """`(value, auxiliary), gradients` of `function() -> (scalar, auxiliary)`; zeros where nothing connects."""
    tensors = [v.value for v in variables]
    with torch.enable_grad():
        value, auxiliary = function()
        gradients = torch.autograd.grad(value, tensors, allow_unused=True) if tensors else ()
    gradients = [torch.zeros_like(t) if g is None else g for t, g in zip(tensors, gradients, strict=True)]
    return (value.detach(), auxiliary), gradients


def apply_gradients(optimizer: Any, gradients: Sequence[Tensor], variables: Sequence) -> Sequence[Tensor]:
    """One step of an optimizer that was built on these variables, in place; the gradients, over all replicas."""
    with torch.no_grad():
        optimizer.apply(gradients, variables)
    return gradients


def gradient(function: Callable, x: Tensor) -> Tensor:
    """Gradient of the scalar `function(x)` with respect to `x`, itself differentiable."""
    with torch.enable_grad():
        x = x if x.requires_grad else x.detach().requires_grad_(True)
        (result,) = torch.autograd.grad(function(x), x, create_graph=True, allow_unused=True)
    return torch.zeros_like(x) if result is None else result


def vjp(function: Callable, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """`function(x)` and v^T J, J its Jacobian at `x`; without a gradient of their own."""
    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
        value = function(x)
        (result,) = torch.autograd.grad(value, x, v, allow_unused=True)
    return value.detach(), torch.zeros_like(x) if result is None else result


def compiled(model: Any, function: Callable) -> Callable:
    """`function(*tensors)` without gradients; PyTorch runs it as it is."""

    @functools.wraps(function)
    def run(*args):
        with torch.no_grad():
            return function(*args)

    return run


def is_traced(x: Tensor) -> bool:
    """Whether `x` stands for values that are not known yet; never."""
    return False


def notify(callback: Callable[..., Any], *values: Any, after: Tensor) -> None:
    """Calls `callback(*integers)`."""
    callback(*map(int, values))


class _Sizes(TorchDispatchMode):
    """Counts the bytes of the tensors that operations make, from their making until Python lets go of them."""

    def __init__(self):
        super().__init__()
        self.live = self.peak = 0

    def _free(self, size):
        self.live -= size

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (list, tuple)) else [result]:
            if isinstance(tensor, torch.Tensor) and tensor._base is None:
                size = tensor.numel() * tensor.element_size()
                self.live += size
                self.peak = max(self.peak, self.live)
                weakref.finalize(tensor, self._free, size)
        return result


def footprint(function: Callable, *arrays: Any) -> tuple[int, tuple[int, ...]]:
    """Bytes that `function(*arrays)` holds at once, and the shape of its result; run on tensors without values.

    An array, NumPy or `None`, counts by its shape and dtype alone.
    """
    from torch._subclasses import FakeTensorMode

    with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True), _Sizes() as sizes:
        result = function(*[None if array is None else torch.from_numpy(array) for array in arrays])
    return sizes.peak, tuple(result.shape)
