"""What a run was made on, for metrics.json and cards."""

import importlib.util
import os
import platform
from pathlib import Path

import keras

from kerasgen.typing import Any


def _cpuinfo(key):
    """What the system says of the first processor under a key, or nothing."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.split(":")[0].strip() == key), "")


def _processor():
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def processor_flags() -> list[str]:
    """The sets of vector instructions that the processor has, such as "avx2" and "avx512f"."""
    return sorted(f for f in _cpuinfo("flags").split() if f.startswith(("avx", "amx", "fma", "sse4", "f16c")))


def _accelerators():
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        devices = tf.config.list_physical_devices("GPU")
        return [tf.config.experimental.get_device_details(d).get("device_name", d.name) for d in devices]
    if backend == "jax":
        import jax

        return [d.device_kind for d in jax.devices() if d.platform != "cpu"]
    import torch

    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


def faster_backend(model: Any) -> str | None:
    """The installed backend that trains such a model fastest on a CPU, if this is one and that is another.

    Measured (docs/performance.md): TensorFlow for images and sequences, whose convolutions and large products oneDNN
    computes; JAX for vectors, where fusing many small operations counts.
    """
    fastest = "jax" if model.modality.tabular else "tensorflow"
    if keras.backend.backend() == fastest or _accelerators() or not importlib.util.find_spec(fastest):
        return None
    return fastest


def describe() -> dict[str, str]:
    """Hardware and software in a few words, as a dictionary."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    processor = f"{cores} {'core' if cores == 1 else 'cores'} of {_processor()}"
    device = ", ".join(_accelerators()) or processor
    return {"hardware": device, "backend": keras.backend.backend(), "keras": keras.__version__}
