"""Adapters of low rank: small folders that name the model which they change, and its SHA-256."""

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kerasgen.checkpoints import WEIGHTS, local_path, sha256
from kerasgen.checkpoints.weights import read_shapes
from kerasgen.errors import CheckpointError, InputError, KerasgenError
from kerasgen.files import replacing
from kerasgen.hub.client import ADAPTER

DESCRIPTION, ARRAYS = ADAPTER
LARGEST = 2**20  # bytes of the description
TEXTS = ("family", "base", "base_sha256", "sha256")
KEYS = dict.fromkeys(TEXTS, str) | {"format": int, "rank": int, "alpha": float, "layers": list}


def save(model: Any, path: str | os.PathLike, base_folder: Callable[[str], Path]) -> None:
    """Writes the adapter of a model to a folder, in float16; what else the folder has is left alone.

    Args:
        base_folder: gives the checkpoint folder of a handle.

    Raises:
        InputError: the model has no adapter, or the model that it changes has no name.
        CheckpointError: a value is not finite in float16.
    """
    import h5py
    import keras
    import numpy as np

    found, lora = model.adapter(), model.lora
    if lora.base is None:
        told = "the model that this adapter changes was not loaded by a name or from a repository"
        raise InputError(f"{told}; publish it first, load it from there, and call enable_lora on that.")
    arrays = {}
    for name, variable in found.items():
        with np.errstate(over="ignore"):
            arrays[name] = keras.ops.convert_to_numpy(variable).astype(np.float16)
        if not np.isfinite(arrays[name]).all():
            raise CheckpointError(f"{name} has values that are not finite in float16; nothing was saved.")
    digest = sha256(base_folder(lora.base) / WEIGHTS)
    facts = {"format": 1, "family": type(model).__name__, "base": lora.base, "base_sha256": digest}
    facts |= {"rank": lora.rank, "alpha": lora.alpha, "layers": list(lora.layers)}
    folder = local_path(path)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / ARRAYS) as file, h5py.File(file, "w") as opened:
        for name, array in arrays.items():
            opened[name] = array
    facts["sha256"] = sha256(folder / ARRAYS)
    with replacing(folder / DESCRIPTION) as file:
        file.write(json.dumps(facts, indent=1).encode() + b"\n")


def describe(folder: Path) -> dict[str, Any]:
    """What the description of an adapter says. Raises `CheckpointError`: it is damaged."""
    path = folder / DESCRIPTION
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"it has {path.stat().st_size} bytes")
        facts = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(facts, dict) or any(type(facts.get(key)) is not kind for key, kind in KEYS.items()):
            raise ValueError(f"expected {', '.join(KEYS)}")
        if facts["format"] != 1 or not all(isinstance(name, str) for name in facts["layers"]):
            raise ValueError("it is of a later format")
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is no description of an adapter ({error}); copy or download it again."
        ) from error
    return facts


def load(folder: Path, base_folder: Callable[[str], Path], load_base: Callable[[str], Any]) -> Any:
    """The model of an adapter: the one that it names, changed.

    Args:
        base_folder: gives the checkpoint folder of a handle.
        load_base: gives the model of a handle.

    Raises `CheckpointError`: a file is damaged, or the model that it names has other weights or layers.
    """
    import h5py
    import numpy as np

    facts = describe(folder)
    with open(folder / ARRAYS, "rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != facts["sha256"]:
            raise CheckpointError(f"{folder / ARRAYS} is damaged: it has not the SHA-256 that {DESCRIPTION} says.")
        shapes = read_shapes(file)
        with h5py.File(file, "r") as opened:
            values = {name: opened[name][()] for name in shapes}
    for path in facts["layers"]:  # before anything of such a rank is made
        if shapes.get(f"{path}/a", ((),))[0][-1:] != (facts["rank"],):
            raise CheckpointError(f"{folder / ARRAYS} does not fit {DESCRIPTION}: {path!r} has no A of that rank.")
    try:
        found = base_folder(facts["base"])
        if (found / DESCRIPTION).is_file():
            raise CheckpointError("it is an adapter itself")
        model = load_base(facts["base"])
    except KerasgenError as error:
        raise type(error)(f"{folder} is an adapter of {facts['base']!r}, which cannot be had: {error}") from error
    if sha256(found / WEIGHTS) != facts["base_sha256"]:
        told = f"{folder} is an adapter of {facts['base']!r} with the SHA-256 {facts['base_sha256']}"
        raise CheckpointError(f"{told}; what goes by that name now has other weights.")
    model.origin = facts["base"]
    try:
        model.enable_lora(facts["rank"], f"^({'|'.join(map(re.escape, facts['layers']))})$", facts["alpha"])
    except InputError as error:
        raise CheckpointError(f"{folder} does not fit {facts['base']!r}: {error}") from error
    slots, needed = model.adapter_slots(), model.adapter()
    for name, (shape, dtype) in shapes.items():
        if name not in slots or tuple(slots[name].shape) != shape or dtype != np.float16:
            raise CheckpointError(f"{folder / ARRAYS} has {name!r}, which does not fit {facts['base']!r}.")
        if not np.isfinite(values[name]).all():
            raise CheckpointError(f"{name!r} in {folder / ARRAYS} has values that are not finite.")
    if missing := sorted(set(needed) - set(shapes)):
        raise CheckpointError(f"{folder / ARRAYS} has no {missing[0]!r}; copy or download it again.")
    for name, value in values.items():
        slots[name].assign(value.astype(np.float32))
    return model
