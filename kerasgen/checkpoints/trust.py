"""Classes and functions of the user's own: found in a model that is saved, named by whoever loads one."""

import types
from collections.abc import Iterable
from typing import Any

from kerasgen.errors import InputError

PREFIX = "trusted>"  # of the names under which they are known while a config is read
OURS = ("keras", "kerasgen", "builtins")


def by_name(trusted: Iterable[Any]) -> dict[str, Any]:
    """`{name: class or function}`. Raises `InputError`: something else is among them, or two have one name."""
    if isinstance(trusted, (type, types.FunctionType, str)) or not isinstance(trusted, Iterable):
        raise InputError(f"trusted is {trusted!r}; expected a list of classes and functions, such as [MyLayer].")
    found: dict[str, Any] = {}
    for item in trusted:
        if not isinstance(item, (type, types.FunctionType)):
            raise InputError(f"trusted has {item!r}; expected classes and functions, such as [MyLayer].")
        if found.setdefault(item.__name__, item) is not item:
            raise InputError(f"trusted has two of the name {item.__name__}; a checkpoint knows them by name alone.")
    return found


def own(model: Any) -> list[Any]:
    """Classes and functions, of neither Keras nor kerasgen, of a model and all that it is made of."""
    found: dict[int, Any] = {}
    seen: set[int] = set()
    stack = [model]
    while stack:
        item = stack.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, types.FunctionType):
            if _is_own(item) and "." not in item.__qualname__.rpartition("<locals>.")[2]:  # no method
                found[id(item)] = item
        elif isinstance(item, dict):
            stack += item.values()
        elif isinstance(item, (list, tuple, set)):
            stack += item
        elif hasattr(item, "get_config") and not isinstance(item, type):
            if _is_own(type(item)):
                found[id(type(item))] = type(item)
            stack += vars(item).values()
    return list(found.values())


def _is_own(item):
    return item.__module__.partition(".")[0] not in OURS
