"""Checkpoints: folders in Keras' own layout, saved atomically, checked before they are loaded."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from kerasgen.checkpoints import config as configs, weights
from kerasgen.errors import CheckpointError
from kerasgen.version import __version__

CONFIG = "config.json"
METADATA = "metadata.json"
WEIGHTS = "model.weights.h5"
FILES = (CONFIG, METADATA, WEIGHTS)
STAGING = ".saving"
COMMITTED = ".saved"


def sha256(path: str | os.PathLike) -> str:
    """Hexadecimal SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_checkpoint(model: Any, folder: str | os.PathLike, dtype: str = "float32") -> None:
    """Saves a model's config and weights, without optimizer, to a folder that `keras.saving.load_model` opens.

    Other files in the folder are left alone.

    The three files are written to the hidden subfolder `.saving`, which is renamed to `.saved` once they are on disk:
    before this rename the checkpoint is the old one, after it the new one. The files are then moved up one by one.
    After a crash in between, `load_checkpoint` reads what is left in `.saved`, and the next save first finishes the
    moves; to Keras itself, config.json is missing until then if the configs differ, so it never mixes the two.
    Writers of one folder wait for each other (`flock`, so POSIX only).

    Args:
        model: a built model of one of kerasgen's classes.
        folder: made if it does not exist.
        dtype: "float32" or "float16", of floating-point arrays in the file.

    Raises `CheckpointError`: a weight is not finite, or is beyond float16, or the config does not describe the model.
    """
    import keras

    if dtype not in ("float32", "float16"):
        raise CheckpointError(f"dtype is {dtype!r}; expected 'float32' or 'float16'.")
    config = configs.without_compile_config(keras.saving.serialize_keras_object(model))
    text = json.dumps(config, indent=1).encode()
    config = configs.parse(text)
    arrays = _arrays(model, config, dtype)
    date = datetime.now().strftime("%Y-%m-%d@%H:%M:%S")
    metadata = {"keras_version": keras.__version__, "kerasgen_version": __version__, "date_saved": date}

    def write(staging):
        import h5py

        (staging / CONFIG).write_bytes(text)
        (staging / METADATA).write_text(json.dumps(metadata, indent=1))
        with h5py.File(staging / WEIGHTS, "w") as file:
            for path, array in arrays.items():
                file[path] = array

    replace_files(Path(folder), write)


def _arrays(model, config, dtype):
    """`{path in the weights file: array}`: what the config implies, taken from the model and cast to `dtype`."""
    import keras
    import numpy as np

    implied = weights.implied_shapes(config)
    variables = weights.recorded(model)
    for path, variable in variables.items():
        if path not in implied:
            missing = "is not in a model made from this model's config; check its get_config."
            raise CheckpointError(f"{_name(variable, path)} {missing}")
    arrays = {}
    for path, (shape, _) in implied.items():
        if path not in variables or tuple(variables[path].shape) != shape:
            raise CheckpointError(f"{path!r} of shape {shape}, which this model's config implies, is not in the model.")
        variable = variables[path]
        array = keras.ops.convert_to_numpy(variable)
        if "float" in keras.backend.standardize_dtype(variable.dtype):
            if not np.isfinite(array.astype(np.float32)).all():
                raise CheckpointError(f"{_name(variable, path)} has values that are not finite; nothing was saved.")
            with np.errstate(over="ignore"):
                array = array.astype(dtype)
            if not np.isfinite(array).all():
                raise CheckpointError(f"{_name(variable, path)} has values beyond {dtype}; save with dtype='float32'.")
        arrays[path] = array
    return arrays


def _name(variable, path):
    return getattr(variable, "path", path)


def replace_files(folder: Path, write: Callable[[Path], None]) -> None:
    """Replaces the checkpoint files of `folder` by those that `write(staging folder)` makes, all or none."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _move_up(folder)
        staging = folder / STAGING
        if staging.exists():
            shutil.rmtree(staging)
        staging.mkdir()
        try:
            write(staging)
            for path in (*(staging / name for name in FILES), staging):
                _fsync(path)
        except BaseException:
            shutil.rmtree(staging)
            raise
        os.rename(staging, folder / COMMITTED)
        _fsync(folder)
        _move_up(folder)
    finally:
        os.close(lock)


def _move_up(folder):
    """Moves committed files into place; may be repeated after a crash at any point."""
    committed = folder / COMMITTED
    if not committed.exists():
        return
    old, new = folder / CONFIG, committed / CONFIG
    if new.exists() and old.exists() and old.read_bytes() != new.read_bytes():
        old.unlink()  # the config goes first and comes last, so that it never stands beside the other's weights
        _fsync(folder)
    for name in (METADATA, WEIGHTS, CONFIG):
        if (committed / name).exists():
            os.replace(committed / name, folder / name)
    committed.rmdir()
    _fsync(folder)


def _fsync(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def checkpoint_file(folder: Path, name: str) -> Path:
    """The path of one of `FILES`, in place or committed and not yet moved.

    Raises `CheckpointError`: there is no such folder or file.
    """
    if not folder.is_dir():
        raise CheckpointError(f"there is no checkpoint folder {folder}; check the path.")
    for path in (folder / COMMITTED / name, folder / name):
        if path.is_file():
            return path
    raise CheckpointError(f"{folder} has no {name}; a checkpoint needs {', '.join(FILES)}.")


def load_checkpoint(folder: str | os.PathLike) -> Any:
    """The model of a checkpoint folder.

    Config and weights are checked against each other before anything is built: only classes of kerasgen and an
    allow-list of Keras are made, and never more variables than the weights file holds.

    Raises `CheckpointError`: a file is missing, damaged, or asks for something that is not allowed.
    """
    import keras
    import numpy as np

    folder = Path(folder)
    config_path, _, weights_path = (checkpoint_file(folder, name) for name in FILES)
    try:
        text = configs.read(config_path)
        config = configs.parse(text)
        stored = weights.read_shapes(weights_path)
        # What `model.save` of a compiled model wrote has its optimizer, too; it is not loaded.
        stored = {path: entry for path, entry in stored.items() if not path.startswith("optimizer/")}
        elements = sum(max(int(np.prod(shape)), 1) for shape, _ in stored.values())
        weights.check_match(weights.implied_shapes(config, limit=elements), stored)
        model = weights.build(config)
        try:
            model.load_weights(weights_path)
        except ValueError as error:
            raise CheckpointError(f"{weights_path} does not fit config.json: {str(error).splitlines()[0]}") from error
        if checkpoint_file(folder, CONFIG).read_bytes() != text:
            raise CheckpointError(f"{folder} was replaced while it was read; load it again.")
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be read: {error}") from error
    for path, value in weights.recorded(model).items():
        if "float" in keras.backend.standardize_dtype(value.dtype):
            array = keras.ops.convert_to_numpy(value).astype(np.float32)
            if not np.isfinite(array).all():
                raise CheckpointError(f"{_name(value, path)} in {weights_path} has values that are not finite.")
    return model
