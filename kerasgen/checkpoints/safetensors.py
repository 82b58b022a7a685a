"""Tensors from files in the format safetensors, checked before any is read.

A file is the length of a header in 8 bytes, the header, a JSON object of `{name: {dtype, shape, data_offsets}}`, and
the numbers, row by row, all of which belong to one tensor.
"""

import json
import math
from pathlib import Path
from typing import Any

from kerasgen.errors import CheckpointError

SUFFIX = ".safetensors"
MAX_HEADER = 2**24  # bytes
SIZES = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8, "I64": 8, "I32": 4, "U8": 1, "BOOL": 1}
PLAIN = {"F32": "<f4", "F16": "<f2", "F64": "<f8", "I64": "<i8", "I32": "<i4", "U8": "u1", "BOOL": "?"}
Place = tuple[Path, str, tuple[int, ...], int]  # file, dtype, shape, first byte


def places(path: Path) -> dict[str, Place]:
    """Where the tensors of a file are, by name.

    Raises `CheckpointError`: it is no such file, is cut short, or its tensors overlap or leave something over.
    """
    try:
        with open(path, "rb") as file:
            size = path.stat().st_size
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(MAX_HEADER, size - 8):
                raise CheckpointError(f"{path} is no safetensors file, or is cut short; copy or download it again.")
            header = json.loads(file.read(length))
    except (ValueError, RecursionError, OSError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path} is no safetensors file ({str(error).splitlines()[0]}).") from error
    if not isinstance(header, dict):
        raise CheckpointError(f"{path} has a header that is no table of tensors.")
    header.pop("__metadata__", None)
    found = {name: _place(path, name, entry, 8 + length) for name, entry in header.items()}
    end = 8 + length
    for name, (_, dtype, shape, start) in sorted(found.items(), key=lambda item: (item[1][3], math.prod(item[1][2]))):
        if start != end:
            raise CheckpointError(f"{name!r} in {path} starts at byte {start}, not where the one before ends ({end}).")
        end += math.prod(shape) * SIZES[dtype]
    if end != size:
        raise CheckpointError(f"{path} has {size} bytes, and its tensors end at {end}; copy or download it again.")
    return found


def _place(path, name, entry, begin):
    def whole(values):
        return isinstance(values, list) and all(type(x) is int and 0 <= x < 2**48 for x in values)

    where = f"{name!r} in {path}"
    if not isinstance(entry, dict) or not whole(entry.get("shape")) or not whole(entry.get("data_offsets")):
        raise CheckpointError(f"{where} lacks a shape or its place in the file.")
    dtype, shape, offsets = entry.get("dtype"), tuple(entry["shape"]), entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in SIZES:
        raise CheckpointError(f"{where} has dtype {dtype!r}; expected one of {list(SIZES)}.")
    if len(offsets) != 2 or len(shape) > 8 or offsets[1] - offsets[0] != math.prod(shape) * SIZES[dtype]:
        raise CheckpointError(f"{where} has shape {shape} of {dtype}, which its {offsets} in the file do not fit.")
    return path, dtype, shape, begin + offsets[0]


def read(place: Place) -> Any:
    """The tensor at a place, as a NumPy array; bfloat16 as float32."""
    import numpy as np

    path, dtype, shape, start = place
    array = np.fromfile(path, PLAIN.get(dtype, "<u2"), math.prod(shape), offset=start).reshape(shape)
    return (array.astype(np.uint32) << 16).view(np.float32) if dtype == "BF16" else array


def read_index(path: Path) -> dict[str, Place]:
    """Where the tensors are that an index of several files beside it names.

    Raises `CheckpointError`: the index is damaged, names files elsewhere, or they hold other tensors than it says.
    """
    if path.stat().st_size > MAX_HEADER:
        raise CheckpointError(f"{path} is over {MAX_HEADER} bytes, which no index is.")
    try:
        listed = json.loads(path.read_bytes())["weight_map"]
        files = sorted(set(listed.values()))
        if not all(Path(name).name == name and name.endswith(SUFFIX) for name in files):
            raise CheckpointError(f"{path} names files other than {SUFFIX} files beside it.")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path} is no index of tensors.") from error
    found: dict[str, Place] = {}
    for name in files:
        inside = places(path.with_name(name))
        wrong = sorted(set(inside) ^ {tensor for tensor, file in listed.items() if file == name})
        if wrong:
            raise CheckpointError(f"{path} and {name} do not agree on {wrong[0]!r}.")
        found |= inside
    return found
