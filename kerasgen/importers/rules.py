"""Which tensors of a file become which variable of a model; all of both, and of the right shapes."""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from kerasgen.checkpoints import weights
from kerasgen.checkpoints.config import parse
from kerasgen.checkpoints.safetensors import Place, read
from kerasgen.errors import CheckpointError
from kerasgen.typing import Any, Array, Callable, Config

NAMES = {  # of variables, and those of the tensors in PyTorch
    **{"kernel": "weight", "gamma": "weight", "bias": "bias", "beta": "bias"},
    **{"moving_mean": "running_mean", "moving_variance": "running_var"},
}
SHOWN = 5  # tensors that an error names


@dataclass
class Rule:
    """A variable, the shapes of the tensors that it is made of, and the function from them to its value."""

    variable: Any
    sources: dict[str, tuple[int, ...]]
    make: Callable[..., Array]


@dataclass
class Plan:
    """A model of ours to be made of somebody's tensors.

    Args:
        family: class of the model.
        config: arguments of it.
        rules: the rules of a model of that config, which may be without values.
        rename: what a tensor is called in the rules, from its name in the file; `None` for one that is left out.
        others: elements of the model that no tensor is for.
        sampling: arguments of `sample` that draw as the source does.
    """

    family: type
    config: Config
    rules: Callable[[Any], Iterable[Rule]]
    rename: Callable[[str], str | None] = lambda name: name
    others: int = 0
    sampling: Config = field(default_factory=dict)

    def described(self) -> Config:
        """The checked config of the model, as a checkpoint has it. Raises `CheckpointError`: it is out of bounds."""
        name = self.family.__name__
        described = {"module": self.family.__module__, "class_name": name, "config": self.config}
        return parse(json.dumps(described | {"registered_name": f"kerasgen>{name}"}).encode())


def convert(plan: Plan, stored: dict[str, Place], source: str) -> Any:
    """The model of a plan with the values of the tensors at these places, by name; nothing is allocated before a check.

    Raises `CheckpointError`: tensors are missing, over or of another shape; names them.
    """
    tensors: dict[str, Place] = {}
    for name, place in stored.items():
        if (ours := plan.rename(name)) is not None and tensors.setdefault(ours, place) is not place:
            raise CheckpointError(f"{source} has two tensors for {ours!r}.")
    config = plan.described()
    elements = sum(math.prod(shape) for _, _, shape, _ in tensors.values())
    with weights.without_values(elements + plan.others):
        rules = list(plan.rules(weights.build(config)))
    check(rules, tensors, source)
    model = weights.build(config)
    for rule in plan.rules(model):
        arrays = [read(tensors[name]).astype(np.float32, copy=False) for name in rule.sources]
        rule.variable.assign(np.reshape(rule.make(*arrays), rule.variable.shape))
    return model


def check(rules: list[Rule], tensors: dict[str, Place], source: str) -> None:
    """Raises `CheckpointError`: the tensors are not those of the rules; one kind of fault, by name."""
    wanted = {name: shape for rule in rules for name, shape in rule.sources.items()}
    missing, more = sorted(set(wanted) - set(tensors)), sorted(set(tensors) - set(wanted))
    if missing:
        raise CheckpointError(f"{source} lacks {len(missing)} of {len(wanted)} tensors: {listed(missing)}.")
    if more:
        raise CheckpointError(
            f"{source} has {len(more)} tensors over, which its config does not imply: {listed(more)}."
        )
    wrong = [name for name, shape in wanted.items() if tensors[name][2] != shape]
    if wrong:
        told = [f"{name} {tensors[name][2]}, not {wanted[name]}" for name in sorted(wrong)]
        raise CheckpointError(f"{source} has {len(wrong)} tensors of another shape: {listed(told, '; ')}.")


def listed(names: list[str], separator: str = ", ") -> str:
    """The first of the names, and that there are more."""
    return separator.join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def from_torch(shape: tuple[int, ...]) -> tuple[tuple[int, ...], Callable[[Array], Array]]:
    """The shape in PyTorch of a variable of a layer, and what makes it ours: kernels have their axes reversed there.

    `[kh, kw, in, out]` is `[out, in, kh, kw]` there, that of a transposed convolution `[in, out, kh, kw]`.
    """
    if len(shape) == 4:
        return (*shape[:1:-1], *shape[:2]), lambda x: x.transpose(2, 3, 1, 0)
    return shape[::-1], lambda x: x.T


def by_path(model: Any, start: str = "") -> Iterator[Rule]:
    """Rules of the variables of layers whose paths, after `start`, are the names of their tensors.

    See kerasgen/networks/diffusers.
    """
    for variable in model.variables:
        *path, name = variable.path.removeprefix(start).split("/")
        if variable.path.startswith(start) and name in NAMES:
            shape, make = from_torch(tuple(variable.shape))
            yield Rule(variable, {".".join([*path, NAMES[name]]): shape}, make)
