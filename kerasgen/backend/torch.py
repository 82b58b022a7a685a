"""PyTorch: `torch.autograd.grad`, eager sampling without gradients."""

import functools

import torch


def train_step(method):
    """Keras calls `train_step(data)` in the stateful style already."""
    return method


def test_step(method):
    """Keras calls `test_step(data)` in the stateful style already."""
    return method


def value_and_grad(function, variables):
    """`(value, auxiliary), gradients` of `function() -> (scalar, auxiliary)`; zeros where nothing connects."""
    tensors = [v.value for v in variables]
    with torch.enable_grad():
        value, auxiliary = function()
        gradients = torch.autograd.grad(value, tensors, allow_unused=True)
    gradients = [torch.zeros_like(t) if g is None else g for t, g in zip(tensors, gradients, strict=True)]
    return (value.detach(), auxiliary), gradients


def gradient(function, x):
    """Gradient of the scalar `function(x)` with respect to `x`, itself differentiable."""
    with torch.enable_grad():
        x = x if x.requires_grad else x.detach().requires_grad_(True)
        (result,) = torch.autograd.grad(function(x), x, create_graph=True, allow_unused=True)
    return torch.zeros_like(x) if result is None else result


def vjp(function, x, v):
    """`function(x)` and v^T J, J its Jacobian at `x`; without a gradient of their own."""
    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
        value = function(x)
        (result,) = torch.autograd.grad(value, x, v, allow_unused=True)
    return value.detach(), torch.zeros_like(x) if result is None else result


def compiled(model, function):
    """`function(*tensors)` without gradients; PyTorch runs it as it is."""

    @functools.wraps(function)
    def run(*args):
        with torch.no_grad():
            return function(*args)

    return run


def replica_seed(seed):
    """The seed as it is: Keras on PyTorch runs one replica a process."""
    return seed


def replica_mean(x):
    """`x` as it is: Keras on PyTorch runs one replica a process."""
    return x


def jit_compile():
    """What `jit_compile="auto"` should mean: Keras' own choice."""
    return "auto"


def apply_gradients(optimizer, gradients, variables):
    """One step of the optimizer, in place."""
    with torch.no_grad():
        optimizer.apply(gradients, variables)


def unshare(variables):
    """Nothing: assigning copies."""


def notify(callback, index):
    """Calls `callback(int)` when a compiled program comes by."""
    callback(int(index))
