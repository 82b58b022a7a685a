"""What a checkpoint's model.weights.h5 may hold, and what a config implies that it holds. No values are read here."""

import contextlib
import contextvars
import copy
import math
import os
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from kerasgen.checkpoints import minifloat, trust
from kerasgen.errors import CheckpointError

building = contextvars.ContextVar("building", default=False)  # whether a model is being made from a config
UNSAVED = 65_536  # elements that a model may have besides those in its file: seeds of random layers, running means


def read_shapes(opened: BinaryIO) -> dict[str, tuple[tuple[int, ...], Any]]:
    """`{path in the file: (shape, dtype)}` of an open HDF5 file with plain arrays and nothing else.

    Every array must be stored whole in this file, uncompressed, so what is read is never more than the file's size.

    Raises `CheckpointError`: not HDF5, truncated, or with links, virtual, external, compressed or unallocated arrays.
    """
    import h5py

    try:
        with h5py.File(opened, "r") as file:
            shapes: dict[str, tuple[tuple[int, ...], Any]] = {}
            stored = _walk(h5py, file, "", {_address(h5py, file)}, shapes)
    except CheckpointError:
        raise
    except Exception as error:  # h5py raises OSError, RuntimeError, KeyError, TypeError and others for damage
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        told = f"model.weights.h5 is not a whole HDF5 file ({reason}); copy or download it again."
        raise CheckpointError(told) from error
    if stored > opened.seek(0, os.SEEK_END):
        raise CheckpointError(f"model.weights.h5 declares {stored} bytes of arrays, more than the file has.")
    return shapes


def _address(h5py, item):
    return h5py.h5o.get_info(item.id).addr


def _walk(h5py, group, prefix, seen, shapes):
    """Notes the arrays in a group and those in it; returns their bytes."""
    stored = 0
    for name in group:
        path = f"{prefix}{name}"
        link = group.get(name, getlink=True)
        if type(link) is not h5py.HardLink:
            raise CheckpointError(f"model.weights.h5 has a {type(link).__name__} at {path!r}, which is not allowed.")
        item = group[name]
        if _address(h5py, item) in seen:
            raise CheckpointError(f"model.weights.h5 has a second link to the same object at {path!r}.")
        seen.add(_address(h5py, item))
        if isinstance(item, h5py.Group):
            stored += _walk(h5py, item, f"{path}/", seen, shapes)
            continue
        layout = item.id.get_create_plist() if isinstance(item, h5py.Dataset) else None
        if layout is None or layout.get_layout() != h5py.h5d.CONTIGUOUS or layout.get_external_count():
            raise CheckpointError(f"model.weights.h5 has something other than a plain array at {path!r}.")
        kind = item.id.get_type()
        if item.dtype.kind not in "iub" and not _is_float(h5py, item.dtype, kind):
            raise CheckpointError(f"{path!r} in model.weights.h5 has dtype {item.dtype}, which is not allowed.")
        if item.shape is None or item.id.get_storage_size() != math.prod(item.shape) * kind.get_size():
            raise CheckpointError(f"{path!r} in model.weights.h5 is declared larger than it is stored.")
        stored += item.id.get_storage_size()
        shapes[path] = tuple(item.shape), item.dtype
    return stored


def _is_float(h5py, dtype, kind):
    """Whether an HDF5 type is float16 or float32 as NumPy has them, or a minifloat."""
    if dtype.kind != "f" or dtype.itemsize > 4:
        return False
    return h5py.h5t.py_create(dtype).equal(kind) or minifloat.is_one(kind)


class _Budget(list):
    """Variables without values; refuses more than `limit` elements in all."""

    def __init__(self, limit):
        self.left = limit

    def append(self, variable):
        self.left -= max(math.prod(variable.shape), 1)
        if self.left < 0:
            found = "the config asks for more parameters than the weights file holds"
            raise CheckpointError(f"{found}; the two do not belong together.")
        super().append(variable)


def recorded(model: Any) -> dict[str, Any]:
    """`{path in the weights file: variable}` of a model, by Keras' own walk, with its optimizer but no part's."""
    # Private: only this walk knows the paths of `load_weights`; the public `save_weights` needs values and a file.
    from keras.src.saving.saving_lib import H5IOStore, _save_state

    class Recorder(H5IOStore):
        """Keeps variables by path where its base class, which `_save_state` asks for, writes a file."""

        def __init__(self):
            self.variables = {}

        def __bool__(self):
            return True

        def make(self, path, metadata=None):
            self.group = f"{path}/vars" if path else "vars"
            return self

        def __setitem__(self, key, value):
            self.variables[f"{self.group}/{key}"] = value

    recorder = Recorder()
    _save_state(model, recorder, None, inner_path="", visited_saveables=_optimizers_of_parts(model))
    return recorder.variables


def _optimizers_of_parts(model):
    return {id(getattr(part, "optimizer", None)) for part in model._flatten_layers(include_self=False)}


def fill(model: Any, opened: BinaryIO, optimizer: bool) -> None:
    """Gives a model the values in an open HDF5 file, whose paths and shapes were found to be the model's.

    And its optimizer, if so.

    Raises `CheckpointError`: a layer does not take them.
    """
    import h5py
    from keras.src.saving.saving_lib import H5IOStore, _load_state

    class Reader(H5IOStore):
        """Gives groups of a file that is open where its base class, which `_load_state` asks for, opens one."""

        def __init__(self, file):
            self.file = file

        def __bool__(self):
            return True

        def get(self, path):
            return self.file.get(f"{path}/vars" if path else "vars", {})

        def has_path(self, path):
            return path in self.file

    left_out = _optimizers_of_parts(model) | (set() if optimizer else {id(getattr(model, "optimizer", None))})
    with h5py.File(opened, "r") as file:
        try:
            _load_state(model, Reader(file), None, inner_path="", visited_saveables=left_out)
        except (ValueError, KeyError) as error:
            raise CheckpointError(f"model.weights.h5 does not fit config.json: {str(error).splitlines()[0]}") from error


@contextlib.contextmanager
def without_values(limit: float = math.inf) -> Iterator[None]:
    """Where variables are made without values, and `CheckpointError` ends what makes far over `limit` elements."""
    import keras
    from keras.src.backend.common import global_state

    # Private: Keras lists the variables made in a StatelessScope in this global, to initialize them when a later
    # scope ends. There is no public way to drop them, or to stop before there are too many.
    before = global_state.get_global_attribute("uninitialized_variables")
    global_state.set_global_attribute("uninitialized_variables", _Budget(limit + UNSAVED))
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        global_state.set_global_attribute("uninitialized_variables", before or [])


def implied_shapes(
    config: dict[str, Any], limit: float = math.inf, trusted: Iterable[Any] = ()
) -> dict[str, tuple[tuple[int, ...], str]]:
    """`{path in the weights file: (shape, dtype name)}` of the model of a checked config, allocating no variable.

    Raises `CheckpointError`: the config builds no model, or one far over `limit` elements.
    """
    import keras

    with without_values(limit):
        variables = recorded(build(config, trusted)).items()
    return {path: (tuple(value.shape), keras.backend.standardize_dtype(value.dtype)) for path, value in variables}


def build(config: dict[str, Any], trusted: Iterable[Any] = ()) -> Any:
    """The model of a config without compile settings, that was checked with this `trusted`.

    Raises `CheckpointError`: the config builds no model.
    """
    import keras

    class_name = config.get("class_name")
    with _building(f"config.json does not build a {class_name}", trusted):
        model = keras.saving.deserialize_keras_object(copy.deepcopy(config))  # it edits what it reads
    if not isinstance(model, keras.Model):  # a table that lacks "config" comes back as it is
        raise CheckpointError(f"config.json does not build a {class_name}, but a {type(model).__name__}.")
    return model


def compile_as(model: Any, config: dict[str, Any], trusted: Iterable[Any] = ()) -> None:
    """Compiles a model by checked settings. Raises `CheckpointError`: it cannot be compiled so."""
    with _building(f"config.json does not compile the {type(model).__name__}", trusted):
        model.compile_from_config(copy.deepcopy(config))


@contextlib.contextmanager
def _building(failure, trusted):
    """While a config is followed: trusted classes are known, and whatever is raised is a `CheckpointError`."""
    import keras

    names = {trust.PREFIX + name: item for name, item in trust.by_name(trusted).items()}
    token = building.set(True)
    try:
        with keras.saving.custom_object_scope(names):
            yield
    except CheckpointError:
        raise
    except Exception as error:  # a constructor may raise anything for arguments it cannot take
        cause = error.__cause__ or error
        reason = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
        raise CheckpointError(f"{failure}: {reason}") from error
    finally:
        building.reset(token)


def check_match(implied: dict[str, tuple], stored: dict[str, tuple]) -> None:
    """Refuses arrays whose names, shapes or kinds (float, integer) are not those that the config implies.

    Raises `CheckpointError`: naming the first that differs.
    """
    for path in implied:
        if path not in stored:
            raise CheckpointError(f"model.weights.h5 lacks {path!r}, which config.json implies.")
    for path, (shape, dtype) in stored.items():
        if path not in implied:
            raise CheckpointError(f"model.weights.h5 has {path!r}, which config.json does not imply.")
        expected_shape, expected_dtype = implied[path]
        if shape != expected_shape:
            implies = f"config.json implies {expected_shape}"
            raise CheckpointError(f"{path!r} in model.weights.h5 has shape {shape}; {implies}.")
        if ("float" in expected_dtype) != (dtype.kind == "f"):
            raise CheckpointError(f"{path!r} in model.weights.h5 has dtype {dtype}; expected {expected_dtype}.")
