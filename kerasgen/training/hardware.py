"""What a run was made on, for metrics.json and cards."""

import os
import platform
from pathlib import Path

import keras


def _processor():
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


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


def describe() -> dict[str, str]:
    """Hardware and software in a few words, as a dictionary."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    processor = f"{cores} {'core' if cores == 1 else 'cores'} of {_processor()}"
    device = ", ".join(_accelerators()) or processor
    return {"hardware": device, "backend": keras.backend.backend(), "keras": keras.__version__}
