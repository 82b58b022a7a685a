"""Families by name, and the arguments that make a model again."""

import inspect
import itertools

import keras

from kerasgen.errors import InputError
from kerasgen.typing import Any, Sequence

FAMILIES: dict[str, Any] = {}


def register_family(cls: type) -> type:
    """Makes a family known by its class name: to recipes, to cards, and to whatever loads a checkpoint."""
    FAMILIES[cls.__name__] = cls
    return keras.saving.register_keras_serializable("kerasgen")(cls)


def constructor_arguments(cls: type) -> tuple[str, ...]:
    """Names of the arguments of a class, and of those above it up to the first registered family."""
    names: dict[str, None] = {}
    for base in itertools.takewhile(lambda base: base is not keras.Model, cls.__mro__):
        if "__init__" in vars(base):
            parameters = list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]
            names |= {p.name: None for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
        if base in FAMILIES.values():
            break
    return tuple(names)


def policy_of(dtype: Any) -> keras.DTypePolicy:
    """The dtype policy that a model's argument means.

    Without one it is Keras' global policy where its variables are float32, as in "mixed_bfloat16". One of another
    `floatx` is not taken: checkpoints and results have float32 on every machine.
    """
    policy = keras.dtype_policies.get(dtype)
    return policy if dtype is not None or policy.variable_dtype == "float32" else keras.DTypePolicy("float32")


def is_plain(value: Any) -> bool:
    """Whether a value is plain JSON, with no number that a checkpoint may refuse."""
    if isinstance(value, (list, tuple)):
        return all(map(is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_plain(item) for key, item in value.items())
    if type(value) in (int, float):
        return abs(value) < 65_536  # not NaN either
    return value is None or type(value) in (str, bool)


def plain(value: Any) -> Any:
    """A plain JSON value of an argument: layers, optimizers and the like in serialized form, tuples as lists."""
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return keras.saving.serialize_keras_object(value) if hasattr(value, "get_config") else value


def _direct_parts(layer: keras.layers.Layer) -> dict[str, keras.layers.Layer]:
    """The layers that a layer has itself: by the attribute that holds one, else by their place among them."""
    parts = layer._flatten_layers(include_self=False, recursive=False)  # in the order in which they were given to it
    held = vars(layer) | (vars(layer).get("_modules") or {})  # where PyTorch keeps those that are attributes
    names = {id(value): name for name, value in held.items()}
    return {names.get(id(part), str(index)): part for index, part in enumerate(parts)}


def parts_of(layer: keras.layers.Layer, prefix: str = "") -> dict[str, keras.layers.Layer]:
    """All layers in a layer, by the names of the attributes that hold them, or their places: "network/blocks/0"."""
    found: dict[str, keras.layers.Layer] = {}
    for name, part in _direct_parts(layer).items():
        found[prefix + name] = part
        found |= parts_of(part, f"{prefix}{name}/")
    return found


def frozen_parts(layer: keras.layers.Layer, always: Sequence[str] = (), prefix: str = "") -> dict[str, bool]:
    """`{path of a part: whether it is trainable}` where that differs from what the part is in.

    And of the parts in `always`, which a constructor may freeze.
    """
    found = {}
    for name, part in _direct_parts(layer).items():
        if part.trainable != layer.trainable or name in always:
            found[prefix + name] = part.trainable
        found |= frozen_parts(part, (), f"{prefix}{name}/")
    return found


def freeze_parts(layer: keras.layers.Layer, parts: dict[str, bool]) -> None:
    """Makes a layer and its parts trainable or not, as `frozen_parts` has said; parts that are not there are refused.

    Raises `InputError`: the config is that of another model.
    """
    if not layer.trainable:
        for trainable in (True, False):  # its parts, too, which neither constructor nor setting it again does
            layer.trainable = trainable
    for path, trainable in parts.items():  # what is outside comes before what is inside
        part: Any = layer
        for name in path.split("/"):
            part = _direct_parts(part).get(name)
            if part is None:
                raise InputError(f"trainable_parts names {path!r}, which {type(layer).__name__} does not have.")
        part.trainable = bool(trainable)
