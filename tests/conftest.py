"""The backend is the one that KERAS_BACKEND names; TensorFlow gets two logical CPUs for the tests of replicas."""

import gc
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `import kerasgen` does, which comes after Keras here
if os.environ.get("KERAS_BACKEND") == "jax":
    # Two devices for the tests of replicas; and less time to compile, which is most of the time on JAX. The emitters of
    # fusions alone made it three times as long.
    flags = ("force_host_platform_device_count=2", "backend_optimization_level=0", "llvm_disable_expensive_passes=true")
    flags += ("cpu_use_fusion_emitters=false", "cpu_parallel_codegen_split_count=1")
    os.environ["XLA_FLAGS"] = " ".join(f"--xla_{flag}" for flag in flags)
    # Small models of one shape are compiled again and again, here and in subprocesses: once is enough.
    compiled = tempfile.TemporaryDirectory()  # removed at exit
    os.environ["JAX_COMPILATION_CACHE_DIR"] = compiled.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "0"

if "PYTEST_XDIST_WORKER" in os.environ:
    # The workers share the cores; PyTorch reads the first and TensorFlow the second, here and in subprocesses.
    os.environ["OMP_NUM_THREADS"] = os.environ["TF_NUM_INTRAOP_THREADS"] = "1"

from tests.hub_server import HUB

# The client of the Hub reads these when it is imported; its Hub is ours, on loopback.
os.environ["HF_ENDPOINT"] = HUB.url
os.environ["HF_HOME"] = HUB.home.name
os.environ["HF_HUB_DISABLE_XET"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

import keras
import numpy as np
import pytest

# Tracing makes objects by the million: to look through all of them for garbage takes a tenth of the time.
gc.freeze()
gc.set_threshold(100_000, 50, 100)

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


LONG = (
    "tests/test_readme.py",
    "tests/hub/",
    "tests/test_replicas.py",
    "tests/test_keras_settings.py",
    "tests/training/",
)


def pytest_collection_modifyitems(items):
    """`@pytest.mark.backend("tensorflow")` runs a test on that backend alone.

    Long files come first, so that no worker is left with one of them at the end.
    """
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))
    for item in items:
        marker = item.get_closest_marker("backend")
        if marker and keras.backend.backend() not in marker.args:
            item.add_marker(pytest.mark.skip(reason=f"for {' and '.join(marker.args)}"))


@pytest.fixture(autouse=True)
def seed():
    """Every test draws the same, whichever tests ran before it."""
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="module", autouse=True)
def programs():
    """Drops what JAX has compiled, between files of tests, where it is much.

    Every program takes some memory maps of the process, of which Linux allows 65,530: beyond, JAX ends the process. A
    file of tests takes up to 11,000.
    """
    yield
    maps = Path("/proc/self/maps")
    if keras.backend.backend() == "jax" and maps.exists() and maps.read_text().count("\n") > 20_000:
        import jax

        gc.collect()  # models hold theirs
        jax.clear_caches()


@pytest.fixture
def hub_server():
    """The Hub that HF_ENDPOINT names; see tests/hub_server.py."""
    return HUB


@pytest.fixture(scope="session")
def squares():
    """32 uint8 images 8 x 8 x 1: bright squares on a dark ground, in four places, the place is the label."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 40, (32, 8, 8, 1), dtype=np.uint8)
    y = np.arange(32) % 4
    for image, label in zip(x, y, strict=True):
        top, left = 4 * (label // 2), 4 * (label % 2)
        image[top : top + 4, left : left + 4] += 180
    return x, y


@pytest.fixture
def images(squares):
    """The squares, a test's own."""
    return tuple(a.copy() for a in squares)


@pytest.fixture(scope="class")
def trained(request, squares):
    """What `ready` of the test's class makes, once for the class: not to be trained further."""
    keras.utils.set_random_seed(0)
    return request.cls().ready(squares)
