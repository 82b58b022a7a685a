"""PyTorch: `torch.autograd.grad`, eager sampling without gradients."""

import functools

import torch

from kerasgen.backend import plain
from kerasgen.typing import Any, Callable, Sequence, Tensor

train_step, test_step, replica_seed = plain.train_step, plain.test_step, plain.replica_seed
replica_sum, replica_rows = plain.replica_sum, plain.replica_rows
replica_gather, jit_compile = plain.replica_gather, plain.jit_compile
SYNCHRONIZED, some_rows = plain.SYNCHRONIZED, plain.some_rows


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


def notify(callback: Callable[[int], Any], index: Tensor) -> None:
    """Calls `callback(int)` when a compiled program comes by."""
    callback(int(index))
