"""Families by name, and the arguments that make a model again."""

import inspect
import itertools

import keras

from kerasgen.typing import Any

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


def plain(value: Any) -> Any:
    """A plain JSON value of an argument: layers, optimizers and the like in serialized form, tuples as lists."""
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return keras.saving.serialize_keras_object(value) if hasattr(value, "get_config") else value
