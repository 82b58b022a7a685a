"""Tensors from a file that `torch.save` wrote, as NumPy arrays, without PyTorch and without running what is in it.

Such a file is a pickle beside raw numbers. The pickle is read by a machine that knows the few names that describe
tensors and refuses every other, so nothing in the file can be called.
"""

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np

from kerasgen.errors import CheckpointError

DTYPES = {
    **{"FloatStorage": np.float32, "DoubleStorage": np.float64, "HalfStorage": np.float16},
    **{"LongStorage": np.int64, "IntStorage": np.int32, "ByteStorage": np.uint8, "BoolStorage": np.bool_},
}
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


class _Tensor:
    """A view of a storage that is not read yet."""

    def __init__(self, storage, offset, size, stride, *_):
        self.key, self.dtype = storage
        self.offset, self.size, self.stride = offset, size, stride

    def array(self, storages):
        contiguous = tuple(int(np.prod(self.size[axis + 1 :])) for axis in range(len(self.size)))
        if any(n > 1 and a != b for n, a, b in zip(self.size, self.stride, contiguous, strict=True)):
            raise CheckpointError(f"a tensor has strides {self.stride} for shape {self.size}; expected a plain one.")
        numbers = np.frombuffer(storages[self.key], self.dtype)
        return numbers[self.offset : self.offset + int(np.prod(self.size))].reshape(self.size)


class _Reader(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Tensor
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        raise CheckpointError(f"the file names {module}.{name}, which is not part of a tensor; nothing of it was run.")

    def persistent_load(self, pid):
        _, dtype, key, *_ = pid
        return key, dtype


def _legacy(file):
    """Tensors and storages of the format before PyTorch 1.6: five pickles, then each storage's length and numbers."""
    if _Reader(file).load() != LEGACY_MAGIC:
        raise CheckpointError("the file is not one that torch.save wrote.")
    _Reader(file).load(), _Reader(file).load()  # version and byte order of the writer
    tensors = _Reader(file).load()
    dtypes = {tensor.key: tensor.dtype for tensor in tensors.values()}
    storages = {}
    for key in _Reader(file).load():
        (length,) = struct.unpack("<q", file.read(8))
        storages[key] = file.read(length * np.dtype(dtypes[key]).itemsize)
    return tensors, storages


def _zipped(file):
    """Tensors and storages of the format since PyTorch 1.6: a ZIP archive."""
    with zipfile.ZipFile(file) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        tensors = _Reader(io.BytesIO(archive.read(name))).load()
        prefix = name.removesuffix("data.pkl")
        return tensors, {t.key: archive.read(f"{prefix}data/{t.key}") for t in tensors.values()}


def read_tensors(path: str | Path) -> dict[str, np.ndarray]:
    """`{name: array}` of a file with a dictionary of tensors.

    Raises `CheckpointError`: the file is damaged, or holds something else.
    """
    try:
        with open(path, "rb") as file:
            tensors, storages = (_zipped if zipfile.is_zipfile(path) else _legacy)(file)
        return {name: tensor.array(storages) for name, tensor in tensors.items()}
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except Exception as error:  # whatever a damaged pickle leads to
        raise CheckpointError(f"{path} is damaged ({type(error).__name__}: {error}); download it again.") from error
