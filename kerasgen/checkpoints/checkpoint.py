"""Checkpoints: folders in Keras' own layout and `.keras` files, written whole or not at all, checked before loading."""

import contextlib
import hashlib
import io
import json
import os
import warnings
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from kerasgen.checkpoints import archive, bounds, config as configs, minifloat, trust, weights
from kerasgen.checkpoints.folder import (
    CONFIG as CONFIG,
    FILES as FILES,
    METADATA as METADATA,
    WEIGHTS as WEIGHTS,
    checkpoint_file as checkpoint_file,
    replace_files as replace_files,
)
from kerasgen.checkpoints.paths import local_path
from kerasgen.errors import CheckpointError, InputError
from kerasgen.version import __version__

PLAIN = "Arguments must be plain JSON values (lists, not arrays) or Keras objects, and get_config must give them."
DTYPES = ("float32", "float16", "float8")
POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")
OPTIMIZER = "optimizer/"  # the beginning of its paths in the weights file


def sha256(path: str | os.PathLike) -> str:
    """Hexadecimal SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_checkpoint(
    model: Any, path: str | os.PathLike, dtype: str = "float32", optimizer: bool = False, overwrite: bool = True
) -> None:
    """Saves a model's config and weights to a folder, or to a `.keras` file, that `keras.saving.load_model` opens.

    A file is replaced in one step, and a folder as `replace_files` says; other files in the folder are left alone.

    Args:
        model: a built model of one of kerasgen's classes, or of a subclass.
        path: a folder, made if it does not exist, or a path that ends in ".keras".
        dtype: of floating-point arrays in the file: "float32", "float16", or "float8", in which arrays of one axis, and
            what layers update themselves, are float16, and all others numbers of eight bits that `minifloat` describes.
        optimizer: whether to save what the model was compiled with, and the optimizer's state.
        overwrite: what is at `path`.

    Raises:
        InputError: the path is not one to save to.
        CheckpointError: a weight is not finite, or is beyond the dtype; the config does not describe the model, or has
            something that `load_checkpoint` would refuse. Nothing was written.
    """
    import keras

    path = local_path(path)
    if dtype not in DTYPES:
        raise CheckpointError(f"dtype is {dtype!r}; expected one of {', '.join(DTYPES)}.")
    zipped = path.suffix == archive.SUFFIX
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists; choose another path or save with overwrite=True.")
    if path.exists() and path.is_dir() == zipped:
        found, expected = ("folder", "a file") if zipped else ("file", "a folder")
        raise InputError(f"{path} is a {found}; expected {expected}, as paths of files end in {archive.SUFFIX}.")
    text, arrays = _contents(model, dtype, optimizer)
    date = datetime.now().strftime("%Y-%m-%d@%H:%M:%S")
    metadata = {"keras_version": keras.__version__, "kerasgen_version": __version__, "date_saved": date}
    metadata_text = json.dumps(metadata, indent=1).encode()
    if zipped:
        file = io.BytesIO()
        _write_arrays(file, arrays)
        archive.write(path, {METADATA: metadata_text, CONFIG: text, WEIGHTS: file.getvalue()})
        return

    def write(staging):
        (staging / CONFIG).write_bytes(text)
        (staging / METADATA).write_bytes(metadata_text)
        _write_arrays(staging / WEIGHTS, arrays)

    replace_files(path, write)


def _write_arrays(file, arrays):
    import h5py

    with h5py.File(file, "w") as opened:
        for name, array in arrays.items():
            if isinstance(array, minifloat.Minifloats):
                minifloat.write(opened, name, array)
            else:
                opened[name] = array


def _contents(model, dtype, optimizer):
    """The text of config.json, and `{path in the weights file: array}`."""
    if optimizer and model.compiled and not model.optimizer_fits:
        told = "other weights are trainable than when it was compiled, so its optimizer is left out; compile it again"
        warnings.warn(f"{type(model).__name__} is saved uncompiled: {told}.", stacklevel=4)
        optimizer = False
    text, config, own = _description(model, optimizer)
    return text, _arrays(model, config, own, dtype)


def _description(model, optimizer):
    """The text of config.json, what `parse` makes of it, and the user's own classes in it."""
    import keras

    name = type(model).__name__
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras warns of lambdas, which are refused below
            config = configs.portable(keras.saving.serialize_keras_object(model))
        config = configs.only_own_compile_config(config) if optimizer else configs.without_compile_config(config)
        text = json.dumps(config, indent=1).encode()
    except CheckpointError:
        raise
    except Exception as error:  # get_config of a layer may raise anything; Keras' own says what to do
        reason = " ".join(str(error).split()).partition(" Example:")[0] or type(error).__name__
        raise CheckpointError(f"{name} cannot be saved: {reason} {PLAIN}") from error
    own = trust.own(model)
    try:
        if key := configs.other_key(config):
            raise CheckpointError(f"a dictionary in its config has the key {key!r}, which is no string.")
        return text, configs.parse(text, own), own
    except (CheckpointError, InputError) as error:
        raise CheckpointError(f"{name} cannot be saved: {error} {PLAIN}") from error


def check_savable(model: Any) -> None:
    """Warns of what `save` would refuse, so that it is known before training and not after.

    A model with classes of the user's own is also built again from its config, without values. One of plain arguments
    and known classes is not looked at further: to serialize it, Keras would import TensorFlow on every backend.
    """
    if weights.building.get() or (model.has_plain_arguments and not trust.own(model)):
        return
    try:
        _, config, own = _description(model, True)
        if own:
            _check_described(model, config, own)
    except CheckpointError as error:
        warnings.warn(f"{error} It trains, but save and ModelCheckpoint will refuse it.", stacklevel=3)


def _check_described(model, config, own):
    """`{path in the weights file: variable}`, without optimizer.

    Raises `CheckpointError`: the config implies others.
    """
    config = {key: value for key, value in config.items() if key != "compile_config"}
    implied = weights.implied_shapes(config, trusted=own)
    variables = {p: v for p, v in weights.recorded(model).items() if not p.startswith(OPTIMIZER)}
    for path, variable in variables.items():
        if path not in implied:
            missing = "is not in a model made from this model's config; check its get_config."
            raise CheckpointError(f"{_name(variable, path)} {missing}")
    for path, (shape, _) in implied.items():
        if path not in variables or tuple(variables[path].shape) != shape:
            raise CheckpointError(f"{path!r} of shape {shape}, which this model's config implies, is not in the model.")
    return {path: variables[path] for path in implied}


def _arrays(model, config, own, dtype):
    """`{path in the weights file: array}`: what the config implies, taken from the model and cast to `dtype`."""
    import keras
    import numpy as np

    variables = _check_described(model, config, own)
    if "compile_config" in config:
        variables |= {p: v for p, v in weights.recorded(model).items() if p.startswith(OPTIMIZER)}
    arrays, updated = {}, _updated_by_layers(model)
    for path, variable in variables.items():
        array = keras.ops.convert_to_numpy(variable)
        if "float" in keras.backend.standardize_dtype(variable.dtype):
            if not np.isfinite(array.astype(np.float32)).all():
                raise CheckpointError(f"{_name(variable, path)} has values that are not finite; nothing was saved.")
            try:
                array = _cast(array, "float16" if dtype == "float8" and id(variable) in updated else dtype)
            except InputError as error:
                told = f"{_name(variable, path)} has values beyond {dtype}; save with dtype='float32'."
                raise CheckpointError(told) from error
        arrays[path] = array
    return arrays


def _updated_by_layers(model):
    """Ids of the variables that layers update themselves, such as moving averages; of frozen layers no others."""
    return {id(variable) for layer in model._flatten_layers() for variable in layer._non_trainable_variables}


def _cast(array, dtype):
    """What the file shall have of finite values. Raises `InputError`: a value is beyond the dtype."""
    import numpy as np

    if dtype == "float8" and array.ndim > 1:
        return minifloat.rounded(array)
    with np.errstate(over="ignore"):
        array = array.astype("float32" if dtype == "float32" else "float16")
    if not np.isfinite(array).all():
        raise InputError("a value is infinite in float16.")
    return array


def _name(variable, path):
    return getattr(variable, "path", path)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[bytes, io.BufferedReader | io.BytesIO]]:
    """The text of config.json and the open weights file, of a folder or a `.keras` file; all is read from these."""
    if path.suffix == archive.SUFFIX and not path.is_dir():
        contents = archive.read(path)
        yield contents[CONFIG], io.BytesIO(contents[WEIGHTS])
        return
    config_path, _, weights_path = (checkpoint_file(path, name) for name in FILES)
    text = configs.read(config_path)
    with open(weights_path, "rb") as file:
        yield text, file
    if checkpoint_file(path, CONFIG).read_bytes() != text:
        raise CheckpointError(f"{path} was replaced while it was read; load it again.")


def _fits(model, state):
    """Whether these are the optimizer's variables; says so if not."""
    import keras

    variables = {p: v for p, v in weights.recorded(model).items() if p.startswith(OPTIMIZER)}
    implied = {p: (tuple(v.shape), keras.backend.standardize_dtype(v.dtype)) for p, v in variables.items()}
    try:
        weights.check_match(implied, state)
    except CheckpointError as error:
        warnings.warn(f"the optimizer starts anew: {error}", stacklevel=3)
        return False
    return True


def load_checkpoint(
    path: str | os.PathLike,
    trusted: Iterable[Any] = (),
    memory_limit: int | None = bounds.LIMIT,
    compile: bool = True,
    digest: str | None = None,
    dtype: str | None = None,
) -> Any:
    """The model of a checkpoint folder or a `.keras` file.

    Config and weights are checked against each other before anything is built: only classes of kerasgen, an
    allow-list of Keras and those trusted are made, and never more variables than the weights file holds.

    Args:
        trusted: classes and functions that may be in it besides.
        memory_limit: bytes that the model may hold at once for one example when it is used; `None` for any.
        compile: whether to compile it as it was when it was saved.
        digest: SHA-256 that the weights file must have, or `None`.
        dtype: policy of its layers, but of those that a user made: "float32", "mixed_bfloat16", "mixed_float16";
            the one that it was saved with if `None`.

    Raises `CheckpointError`: a file is missing, damaged, or asks for something that is not allowed.
    """
    import keras
    import numpy as np

    path, trusted = local_path(path), list(trust.by_name(trusted).values())
    try:
        with _opened(path) as (text, file):
            if digest is not None and hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise CheckpointError(f"{WEIGHTS} in {path} has not the SHA-256 in its recipe, {digest}.")
            config = configs.parse(text, trusted, compile)
            settings = config.pop("compile_config", None)
            if dtype is not None:
                if dtype not in POLICIES:
                    raise InputError(f"dtype is {dtype!r}; expected one of {', '.join(POLICIES)}.")
                configs.with_policy(config, dtype)
            stored = weights.read_shapes(file)
            state = {p: entry for p, entry in stored.items() if p.startswith(OPTIMIZER)}
            # What Keras writes of a model with compiled parts has their optimizers, too.
            stored = {p: entry for p, entry in stored.items() if "optimizer" not in p.split("/")}
            elements = sum(max(int(np.prod(shape)), 1) for shape, _ in stored.values())
            weights.check_match(weights.implied_shapes(config, elements, trusted), stored)
            model = weights.build(config, trusted)
            compiled = settings is not None
            if compiled:
                weights.compile_as(model, settings, trusted)
            weights.fill(model, file, optimizer=compiled and _fits(model, state))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    for name, value in weights.recorded(model).items():
        if "float" in keras.backend.standardize_dtype(value.dtype):
            array = keras.ops.convert_to_numpy(value).astype(np.float32)
            if not np.isfinite(array).all():
                raise CheckpointError(f"{_name(value, name)} in {path} has values that are not finite.")
    if memory_limit is not None:
        bounds.check_use(model, config, memory_limit, lenient=bool(trusted))
    return model
