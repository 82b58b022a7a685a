"""PyTorch: `torch.autograd.grad`, eager sampling without gradients."""

import functools
import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from kerasgen.backend import plain
from kerasgen.typing import Any, Callable, Sequence, Tensor

train_step, test_step, replica_seed = plain.train_step, plain.test_step, plain.replica_seed
replica_mean, jit_compile, unshare = plain.replica_mean, plain.jit_compile, plain.unshare


def value_and_grad(function: Callable, variables: Sequence) -> tuple[tuple[Tensor, Any], list[Tensor]]:
    """`(value, auxiliary), gradients` of `function() -> (scalar, auxiliary)`; zeros where nothing connects."""
    tensors = [v.value for v in variables]
    with torch.enable_grad():
        value, auxiliary = function()
        gradients = torch.autograd.grad(value, tensors, allow_unused=True)
    gradients = [torch.zeros_like(t) if g is None else g for t, g in zip(tensors, gradients, strict=True)]
    return (value.detach(), auxiliary), gradients


def apply_gradients(optimizer: Any, gradients: Sequence[Tensor], variables: Sequence) -> None:
    """One step of an optimizer that was built on these variables, in place."""
    with torch.no_grad():
        optimizer.apply(gradients, variables)


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


def notify(callback: Callable[[int], Any], index: Tensor) -> None:
    """Calls `callback(int)` when a compiled program comes by."""
    callback(int(index))


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
