"""What a backend offers where there is nothing to do: each function here serves two of the three."""

import contextlib
from collections.abc import Iterator

from keras import ops

from kerasgen.typing import Any, Array, Callable, Tensor

SYNCHRONIZED = False  # whether Keras must be told to take the moments of a batch over all replicas


class StateKeeper:
    """Mixed into a `keras.Model` whose Keras calls run in `keeping`: nothing to mix in."""


@contextlib.contextmanager
def keeping(model: Any) -> Iterator[None]:
    """One of Keras' calls, such as `fit`, that leaves the model as after its last whole step, whatever it raises."""
    yield


def train_step(method: Callable) -> Callable:
    """Decorates `train_step(self, data) -> logs` of a `keras.Model`, so that `fit` trains by it on every backend.

    `data` is a batch as `keras.utils.unpack_x_y_sample_weight` takes it, and the logs are tensors by name, as a rule
    `metric.result()`. What a step may do is said in `kerasgen.backend`. TensorFlow and PyTorch call it as it is.
    """
    return method


def test_step(method: Callable) -> Callable:
    """Decorates `test_step(self, data) -> logs`, for `evaluate`, as `train_step` does for `fit`."""
    return method


def replica_seed(seed: Tensor) -> Tensor:
    """The seed as it is: one process is one replica, or one program over the global batch."""
    return seed


def replica_sum(x: Any) -> Any:
    """`x` as it is: one process is one replica, or one program over the global batch."""
    return x


def replica_rows(num: Any) -> tuple[Any, Any]:
    """`(0, num)`: this replica's examples are the global batch."""
    return 0, num


def replica_gather(x: Tensor) -> Tensor:
    """`x` as it is: one process is one replica, or one program over the global batch."""
    return x


def of_all_processes(array: Array, share: Callable[[], int]) -> Array:
    """`array` as it is: every process has what the others have."""
    return array


def shares_of_batch() -> int:
    """1: each process that hands in examples hands in whole batches."""
    return 1


def some_rows(function: Callable, x: Tensor) -> Tensor:
    """`function(x)`, from a leading axis B to one, also where B is 0. Here no share of a batch is empty."""
    return function(x)


def transposed_convolution(x: Tensor, kernel: Tensor) -> Tensor:
    """Twice the sides, by a kernel `[2k, 2k, filters, C]` of stride 2: `[B, H, W, C]` to `[B, 2H, 2W, filters]`."""
    return ops.conv_transpose(x, kernel, 2, "same", data_format="channels_last")


def attention(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    """softmax(q k^T / sqrt(D)) v of queries, keys and values `[B, T, heads, D]`, of all or of those up to the query."""
    return ops.dot_product_attention(q, k, v, is_causal=causal)


def gelu(x: Tensor) -> Tensor:
    """x times the standard normal distribution function of x (Hendrycks and Gimpel 2016), without approximation."""
    return ops.gelu(x, approximate=False)


def silu(x: Tensor) -> Tensor:
    """x times its logistic sigmoid (Hendrycks and Gimpel 2016; Ramachandran et al. 2017, "Swish")."""
    return ops.silu(x)


def jit_compile() -> Any:
    """What `compile(jit_compile="auto")` should mean: Keras' own choice."""
    return "auto"


def finish_callbacks() -> None:
    """Nothing: a program has made its calls when its result is there."""
