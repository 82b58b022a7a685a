"""Fine-tuning: other classes or another shape with the weights that there are, parts frozen, low-rank adapters."""

import re
import types
import zlib
from typing import NamedTuple

from keras import ops

from kerasgen import inputs
from kerasgen.base.family import parts_of
from kerasgen.base.saving import Saving
from kerasgen.errors import InputError
from kerasgen.typing import Any, Self


class Lora(NamedTuple):
    """What `enable_lora` was given, and of which weights it makes others."""

    rank: int
    alpha: float
    layers: tuple[str, ...]  # their paths
    base: str | None  # the handle of the model that was loaded
    digests: tuple[int, ...]  # of the weights there were


def _of_classes(config, num_classes, parts=()):
    """What changes in the config of a model for other classes, those parts included that are models themselves."""
    changes = {"num_classes": num_classes} | ({"attributes": None} if "attributes" in config else {})
    for name in parts:
        if isinstance(part := config.get(name), dict) and "config" in part:  # else for any classes
            changes[name] = part | {"config": part["config"] | _of_classes(part["config"], num_classes)}
    return changes


def _digest(variable):
    return zlib.crc32(ops.convert_to_numpy(variable).tobytes())


class Tuning(Saving):
    """A model that can be made another, or trained in part."""

    origin: str | None
    shape: tuple[int, ...]
    num_classes: int | None
    lora: Lora | None = None
    conditional_parts: tuple[str, ...] = ()  # arguments of the constructor that are models of the same classes
    _before_lora = types.SimpleNamespace(weights=[])  # in which Keras looks for no variables

    # Another model with these weights

    def with_num_classes(self, num_classes: int | None) -> Self:
        """A new model for other classes, or for none, with these weights: what it knows of a class that stays is kept.

        Where a weight has a row for each class, the first rows are taken, and those of new classes begin as they would
        in a new model. Classes of a model that had none, or attributes, get layers of their own.

        Raises `InputError`: the family has no classes, or a network of your own is made for so many.
        """
        if num_classes is not None:
            inputs.check_integer("num_classes", num_classes, 1)
        return self._remade(_of_classes(self.get_config(), num_classes, self.conditional_parts))

    def with_shape(self, shape: Any) -> Self:
        """A new model for examples of another shape, with these weights, where no weight depends on the shape.

        Raises `InputError`: one does, or the family takes no such shape.
        """
        other = self._remade({"shape": list(shape)})
        for old, new in zip(self.weights, other.weights, strict=True):
            if old.shape != new.shape:
                told = f"{new.path} is {tuple(old.shape)} for {self.shape} and {tuple(new.shape)} for {other.shape}"
                raise InputError(f"this {type(self).__name__} is made for its shape: {told}; train one of that shape.")
        return other

    def _remade(self, changes):
        if self.lora is not None:
            raise InputError("this model has an adapter; save it, which adds the adapter up, and load that.")
        config = self.get_config()
        if missing := sorted(set(changes) - set(config)):
            raise InputError(f"a {type(self).__name__} has no {' or '.join(missing)} to change.")
        try:
            other = type(self).from_config(config | changes)
        except InputError:
            raise
        except (TypeError, ValueError) as error:
            raise InputError(f"a {type(self).__name__} cannot be made with {changes}: {error}") from error
        _take_weights(self.weights, other.weights)
        return other

    # Parts

    def freeze(self, pattern: str = "", trainable: bool = False) -> list[str]:
        """Freezes the layers in whose path the regular expression is found, and gives the paths; then call `compile`.

        Paths are those of `kerasgen.base.family.parts_of(model)`, such as "network/blocks/0/attention/qkv".

        Args:
            trainable: whether to make them trainable instead.

        Raises `InputError`: it is found in none.
        """
        chosen = _matching(parts_of(self), pattern)
        for layer in chosen.values():
            layer.trainable = trainable
        return list(chosen)

    def enable_lora(self, rank: int, pattern: str = "", alpha: float | None = None) -> list[str]:
        """Freezes the model, and gives dense and convolutional layers a product of low rank to train (Hu et al. 2021).

        The kernel W becomes W + (alpha / rank) A B, with A random and B zero at first, so that nothing changes before
        training. Then call `compile`. `save` writes the sum, as an ordinary checkpoint; `save_adapter` and
        `push_to_hub(..., adapter=True)` write A and B alone.

        Args:
            pattern: a regular expression that is found in the paths of the layers; see `freeze`.
            alpha: `rank` if `None`.

        Returns the paths of the layers.

        Raises `InputError`: it has an adapter already, or no such layer is found.
        """
        rank = inputs.check_integer("rank", rank, 1)
        alpha = float(rank) if alpha is None else inputs.check_number("alpha", alpha, 0.0)
        if self.lora is not None:
            raise InputError("this model has an adapter already; save it, and load what was saved, to begin another.")
        able = {path: part for path, part in parts_of(self).items() if hasattr(part, "enable_lora")}
        chosen, weights = _matching(able, pattern), self.weights
        self.lora = Lora(rank, alpha, tuple(chosen), self.origin, tuple(map(_digest, weights)))
        self._before_lora = types.SimpleNamespace(weights=weights)
        for variable in weights:
            variable.trainable = False
        for layer in chosen.values():
            layer.enable_lora(rank, lora_alpha=alpha)
        return list(chosen)

    def adapter_slots(self) -> dict[str, Any]:
        """`{name: variable}` of all that an adapter can hold: A and B of its layers by their paths, weights by number.

        Raises `InputError`: the model has no adapter.
        """
        if self.lora is None:
            raise InputError("this model has no adapter: call enable_lora(rank) before you train it.")
        parts = parts_of(self)
        names = [(path, end) for path in self.lora.layers for end in "ab"]
        slots = {f"{path}/{end}": getattr(parts[path], f"lora_kernel_{end}") for path, end in names}
        return slots | {f"weights/{number}": weight for number, weight in enumerate(self._before_lora.weights)}

    def adapter(self) -> dict[str, Any]:
        """Those that differ from the model that `enable_lora` was called on: A and B, and such as moving averages."""
        slots = self.adapter_slots()
        digests = {f"weights/{number}": digest for number, digest in enumerate(self.lora.digests if self.lora else ())}
        return {name: v for name, v in slots.items() if name not in digests or _digest(v) != digests[name]}

    def save_adapter(self, path: Any) -> None:
        """Writes the adapter to a folder that `kerasgen.load` takes; it names the model that it changes.

        Raises `InputError`: it has no adapter, or that model was not loaded by a name or from a repository.
        """
        with self.turns.reading():
            self.hub.save_adapter(self, path)


def _matching(parts, pattern):
    try:
        found = {path: part for path, part in parts.items() if re.search(pattern, path)}
    except re.error as error:
        raise InputError(f"pattern is {pattern!r}, which is no regular expression ({error}).") from error
    if not found:
        some = ", ".join(list(parts)[:8]) or "none"
        raise InputError(f"pattern is {pattern!r}, which is found in no layer's path; there are {some}, ...")
    return found


def _take_weights(old, new):
    """Values of the old variables, in their order, where the new ones have them; of classes those that both have."""
    place = 0
    for variable in new:
        following = next((i for i in range(place, len(old)) if _corresponds(old[i], variable)), None)
        if following is None:
            continue  # of a layer that is new
        place = following + 1
        source, value = ops.convert_to_numpy(old[following]), ops.convert_to_numpy(variable).copy()
        common = tuple(slice(min(pair)) for pair in zip(source.shape, value.shape, strict=True))
        value[common] = source[common]
        variable.assign(value)


def _corresponds(one, other):
    """Whether two variables are of the same layer: by their paths, and shapes that differ in one axis at most."""
    if one.path != other.path or len(one.shape) != len(other.shape):
        return False
    return sum(a != b for a, b in zip(one.shape, other.shape, strict=True)) <= 1
