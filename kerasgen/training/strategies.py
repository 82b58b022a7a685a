"""Training over several devices: the engines that TensorFlow and Keras have, by one name each.

```
with kerasgen.strategy("mirrored").scope():
    model = kerasgen.load("vae-mnist")
    model.compile()
    model.fit(dataset, batch_size=256)  # of all devices together
```
"""

import contextlib
import json
import os
from collections.abc import Iterator
from typing import Protocol

import keras

from kerasgen.errors import InputError, KerasgenError, ProcessLost
from kerasgen.inputs import check_choice
from kerasgen.typing import Any

# Layers whose kernels `model_parallel` cuts: the first of a pair along what it gives, the second along what it reads,
# so that one sum over the devices joins a pair (Shoeybi et al. 2019, "Megatron-LM", section 3).
FIRST = ("qkv", "hidden", "conv_a")
SECOND = ("out", "conv_b")


class Strategy(Protocol):
    """What has a `scope()` to build and compile models in: `tf.distribute.Strategy`, `keras.distribution`'s, ours."""

    def scope(self) -> Any: ...


class OneDevice:
    """What there is without a strategy."""

    def scope(self) -> Any:
        return contextlib.nullcontext()


def _tensorflow(name):
    import tensorflow as tf

    if name == "auto":
        workers = json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {})
        several = len(tf.config.list_logical_devices("GPU")) > 1
        name = "multi_worker" if workers else "mirrored" if several else "tpu" if _has_tpu(tf) else None
    if name is None:
        return OneDevice()
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    if name == "multi_worker":
        if not os.environ.get("TF_CONFIG"):
            raise InputError("multi_worker needs TF_CONFIG in the environment of every worker (docs/scaling.md).")
        return tf.distribute.MultiWorkerMirroredStrategy()
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver()
    tf.config.experimental_connect_to_cluster(resolver)
    tf.tpu.experimental.initialize_tpu_system(resolver)
    return tf.distribute.TPUStrategy(resolver)


def _has_tpu(tf):
    return "TPU_NAME" in os.environ or bool(tf.config.list_physical_devices("TPU"))


def _jax(name):
    import jax

    if os.environ.get("KERAS_DISTRIBUTION_JOB_ADDRESSES") and not jax.distributed.is_initialized():
        keras.distribution.initialize()
    devices = keras.distribution.list_devices()
    if name == "auto":  # the cores of a CPU are one device
        several = len(devices) > 1 and (jax.process_count() > 1 or not devices[0].startswith("cpu"))
        name = "data_parallel" if several else None
    if name is None:
        return OneDevice()
    if name == "data_parallel":
        return keras.distribution.DataParallel(devices=devices)
    mesh = keras.distribution.DeviceMesh((1, len(devices)), ["batch", "model"], devices)
    return KernelParallel(layout_map=keras.distribution.LayoutMap(mesh), batch_dim_name="batch")


class KernelParallel(keras.distribution.ModelParallel):
    """Each device has a part of the large kernels of U-Nets and transformers, and all else whole."""

    def get_variable_layout(self, variable: Any) -> Any:
        layer, name = ["", *variable.path.split("/")][-2:]
        shape, parts = variable.shape, self.device_mesh.shape[1]
        axis = {**dict.fromkeys(FIRST, -1), **dict.fromkeys(SECOND, -2)}.get(layer)
        if name != "kernel" or axis is None or shape[axis] % parts or getattr(variable, "_layout", None) is not None:
            return super().get_variable_layout(variable)
        axes: list[str | None] = [None] * len(shape)
        axes[axis] = "model"
        return keras.distribution.TensorLayout(axes, self.device_mesh)


ENGINES: dict[str, tuple[str, ...]] = {
    "tensorflow": ("auto", "mirrored", "multi_worker", "tpu"),
    "jax": ("auto", "data_parallel", "model_parallel"),
    "torch": ("auto",),
}


def process_of(engine: Strategy) -> tuple[int, int]:
    """The number of this process among those that train together, and how many there are."""
    if keras.backend.backend() == "tensorflow":
        resolver = getattr(engine, "cluster_resolver", None)
        workers = resolver.cluster_spec().as_dict().get("worker", []) if resolver is not None else []
        return (resolver.task_id, len(workers)) if len(workers) > 1 else (0, 1)
    if keras.backend.backend() == "jax":
        import jax

        return jax.process_index(), jax.process_count()
    return 0, 1


def shard_of(engine: Strategy, batch_size: int) -> tuple[int, int]:
    """`(number, count)`: which part of a batch this process loads; all of it where the engine divides batches itself.

    Raises `InputError`: the devices cannot share the batches evenly, as JAX has to.
    """
    if not isinstance(engine, keras.distribution.DataParallel):
        return 0, 1
    if batch_size % (devices := engine.device_mesh.devices.size):
        raise InputError(
            f"batches of {batch_size} cannot be shared by {devices} devices; give a multiple of {devices}."
        )
    number, processes = process_of(engine)
    engine.auto_shard_dataset = processes == 1
    return number, processes


@contextlib.contextmanager
def together(processes: int) -> Iterator[None]:
    """Within, the loss of another process is a `ProcessLost`. Alone, nothing is changed."""
    try:
        yield
    except KerasgenError:
        raise
    except Exception as error:
        if processes == 1 or (type(error).__name__ not in LOST and "Gloo" not in str(error)):
            raise
        told = f"another of the {processes} processes is gone, or cannot be reached ({type(error).__name__})"
        raise ProcessLost(f"{told}; start all of them again, and the run goes on from its newest backup.") from error


# Errors of the frameworks where a process of several is lost.
LOST = (
    *("UnavailableError", "InternalError", "AbortedError", "CancelledError", "DeadlineExceededError"),
    *("JaxRuntimeError", "XlaRuntimeError"),
)


def strategy(name: str = "auto") -> Strategy:
    """The engine of a name, with a `scope()` to build and compile models in.

    Args:
        name: of TensorFlow "mirrored" (the GPUs of this machine), "multi_worker" (TF_CONFIG says which workers there
            are) or "tpu"; of JAX "data_parallel" or "model_parallel", over all devices, those of other processes among
            them (KERAS_DISTRIBUTION_JOB_ADDRESSES says where they are, as to `keras.distribution.initialize`). "auto":
            the one that fits what there is, or one device, as on PyTorch always.

    Raises `InputError`: this backend has no such engine, or the environment does not say what it needs.
    """
    backend = keras.backend.backend()
    check_choice("strategy", name, ENGINES[backend])
    if backend == "tensorflow":
        return _tensorflow(name)
    return _jax(name) if backend == "jax" else OneDevice()
