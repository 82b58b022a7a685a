"""Recipes: `recipe.toml` as a checked tree of frozen dataclasses."""

import dataclasses
import difflib
import hashlib
import json
import math
import re
import tomllib
import types
import typing
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import Any, Self

from kerasgen.errors import RecipeError

TYPE_NAMES = {str: "a string", int: "an integer", float: "a number", bool: "true or false", dict: "a table"}
SHA256 = r"[0-9a-f]{64}"


def _entry(default: Any = MISSING, key: str | None = None, **limits: Any) -> Any:
    """A field with limits: `low` and `high` (inclusive), `above` and `below` (exclusive), `choices`, `pattern`."""
    return field(default=default, metadata={"key": key, **limits})


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Which images, brought to which shape; those from `title` on are for the model card."""

    source: str
    train_split: str
    test_split: str
    validation_split: str | None = None
    image_size: tuple[int, int] | None = _entry(None, low=1)
    channels: int | None = _entry(None, choices=(1, 3))
    labels: bool | str = False  # or the name of a feature; of sounds and what moves also "attributes"
    columns: tuple[int, ...] | None = _entry(None, low=0)  # of attributes, those to take
    patch_size: int | None = _entry(None, low=1)  # of square patches to take of images of any size
    patches: int = _entry(1, low=1)  # of each image
    pairs: str | None = _entry(None, choices=("gray", "edges", "small", "masked"))  # what a Pix2Pix is given
    moving: int | None = _entry(None, low=1)  # frames of videos in which two images bounce about; 1 for images
    pattern: str | None = None  # of the names of files of sounds, which says their classes and splits
    texts: str | None = _entry(None, choices=("whole", "lines", "lists"))  # form of a file of sequences
    column: str | None = None  # of a CSV file of texts
    stride: int | None = _entry(None, low=1)  # tokens between the windows to train on
    transpose: int = _entry(0, low=0, high=11)  # semitones up and down, to train on music in other keys, too
    domain: int | None = _entry(None, low=0)  # class or attribute that parts it in two, for a CycleGAN
    flip: bool = False
    title: str | None = None
    url: str | None = None
    license: str | None = None
    terms: str | None = None


@dataclass(frozen=True, kw_only=True)
class Model:
    """A family's class name (`class` in the file) and its constructor's arguments."""

    class_name: str = _entry(key="class", pattern=r"[A-Za-z_]\w*")
    config: dict


@dataclass(frozen=True, kw_only=True)
class Training:
    """How the model is fitted."""

    epochs: int = _entry(low=1)
    steps_per_epoch: int | None = _entry(None, low=1)  # if an epoch is not once over the training set
    batch_size: int = _entry(low=1)
    optimizer: str = _entry(choices=("adam", "adamw"))
    learning_rate: float = _entry(above=0.0)
    discriminator_learning_rate: float | None = _entry(None, above=0.0)  # of a GAN, if it differs
    beta_1: float = _entry(0.9, low=0.0, below=1.0)
    beta_2: float = _entry(0.999, low=0.0, below=1.0)
    schedule: str = _entry("constant", choices=("constant", "cosine"))
    warmup_steps: int = _entry(0, low=0)
    weight_decay: float = _entry(0.0, low=0.0)
    clip_norm: float | None = _entry(None, above=0.0)
    ema_momentum: float | None = _entry(None, above=0.0, below=1.0)
    perceptual: str | None = None  # the classifier of an Autoencoder's perceptual distance
    perceptual_weight: float | None = _entry(None, low=0.0)
    precision: str = _entry("float32", choices=("float32", "mixed_bfloat16"))
    quality_every: int | None = _entry(None, low=1)  # epochs, to measure samples in: val_kernel_distance
    monitor: str | None = None  # a figure of log.csv: the checkpoint is the state of the epoch with the least
    seed: int = _entry(0, low=0, high=2**63 - 1)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What is measured and with how many samples; `grid` is the number in samples.png."""

    num_samples: int = _entry(10_000, low=2)
    grid: int = _entry(100, low=1)
    extractor: str | None = None
    batch_size: int = _entry(250, low=1)
    seed: int = _entry(0, low=0, high=2**63 - 1)
    num_importance_samples: int = _entry(128, low=1)
    num_evaluations: int | None = _entry(None, low=1)
    likelihood_images: int | None = _entry(None, low=2)
    temperature: float = _entry(1.0, low=0.0)
    sampling: dict | None = None  # further arguments of `sample`, such as `sampler` and `steps`
    split: str = "test"
    smiles: bool = False  # whether texts are molecules, of which the valid ones are counted
    picture: str | None = _entry(None, choices=("reconstructions",))  # in samples.png, instead of samples

    @property
    def drawing(self) -> dict[str, Any]:
        """What `sample` is called with besides number, labels and seed."""
        return {"temperature": self.temperature} | (self.sampling or {})


@dataclass(frozen=True, kw_only=True)
class Weights:
    """How weights are stored, their licence (of the Hub's list), and where they are published once they are."""

    dtype: str = _entry("float16", choices=("float8", "float16", "float32"))
    sha256: str | None = _entry(None, pattern=SHA256)
    handle: str | None = _entry(None, pattern=r"[\w.-]+/[\w.-]+")
    revision: str | None = None
    license: str | None = _entry(None, pattern=r"[a-z0-9.-]+")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that makes one entry of the zoo."""

    name: str = _entry(pattern=r"[a-z0-9][a-z0-9.-]*")
    description: str = _entry(pattern=r"[^\n]+")
    dataset: Dataset
    model: Model
    training: Training
    evaluation: Evaluation = Evaluation()
    weights: Weights = Weights()

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The recipe in a TOML file.

        Raises `RecipeError`: the file cannot be read, or an entry is unknown, missing, ill-typed or out of range.
        """
        try:
            return cls.from_dict(tomllib.loads(Path(path).read_text(encoding="utf-8")))
        except RecipeError as error:
            raise RecipeError(f"{path}: {error}") from error
        except (OSError, ValueError) as error:
            raise RecipeError(f"{path} cannot be read: {error}") from error

    @classmethod
    def from_dict(cls, table: dict[str, Any]) -> Self:
        """The recipe of a dictionary as `to_dict` gives it.

        Raises `RecipeError`: an entry is unknown, missing, ill-typed or out of range.
        """
        recipe = _parse(cls, table, "")
        weights = recipe.weights
        if weights.handle is not None and None in (weights.revision, weights.sha256):
            raise RecipeError("weights.handle needs weights.revision and weights.sha256 beside it.")
        return recipe

    def override(self, assignments: Iterable[str]) -> Self:
        """A new recipe with some entries changed.

        Args:
            assignments: strings such as "training.epochs=3"; values are TOML, or else plain strings.

        Raises `RecipeError`: an assignment is ill-formed, or `from_dict` refuses the result.
        """
        table = self.to_dict()
        for assignment in assignments:
            path, equals, text = assignment.partition("=")
            *sections, key = path.strip().split(".")
            if not equals or not all((*sections, key)):
                raise RecipeError(f"{assignment!r} is not an assignment such as training.epochs=3.")
            target = table
            for section in sections:
                target = target.setdefault(section, {})
                if not isinstance(target, dict):
                    raise RecipeError(f"{path.strip()}: {section} is not a table.")
            target[key] = _toml_value(text.strip())
        return self.from_dict(table)

    def unpublished(self) -> Self:
        """The recipe without what is known only once its entry is on the Hub."""
        return dataclasses.replace(self, weights=dataclasses.replace(self.weights, handle=None, revision=None))

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries, lists, strings and numbers; optional entries that are not set are left out."""
        return _to_dict(self)

    def to_toml(self) -> str:
        """The text of a recipe.toml that `load` reads to an equal recipe."""
        table = self.to_dict()
        sections = {key: value for key, value in table.items() if isinstance(value, dict)}
        lines = _to_lines({key: value for key, value in table.items() if key not in sections})
        for section, entries in sections.items():
            lines += ["", f"[{section}]", *_to_lines(entries)]
        return "\n".join(lines) + "\n"

    @property
    def digest(self) -> str:
        """SHA-256 of all that training depends on: data, model and training, not what the card or evaluation say."""
        table = self.to_dict()
        relevant = {section: table[section] for section in ("dataset", "model", "training")}
        for key in ("title", "url", "license", "terms"):
            relevant["dataset"].pop(key, None)
        return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()


def _key(entry):
    return entry.metadata.get("key") or entry.name


def _parse(cls, table, prefix):
    """An instance of a dataclass from a table; `prefix` is the table's dotted name with a dot behind, or empty."""
    if not isinstance(table, dict):
        raise RecipeError(f"{prefix[:-1]} is {table!r}; expected a table.")
    hints = typing.get_type_hints(cls)
    fields = {_key(entry): entry for entry in dataclasses.fields(cls)}
    for key in table:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1, cutoff=0.0)[0]
            raise RecipeError(f"{prefix}{key} is not a known entry; the nearest is {prefix}{near}.")
    values = {}
    for key, entry in fields.items():
        if key in table:
            values[entry.name] = _check(table[key], hints[entry.name], entry.metadata, prefix + key)
        elif entry.default is MISSING:
            raise RecipeError(f"{prefix}{key} is missing.")
    return cls(**values)


def _check(value, hint, limits, name):
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    kinds = [kind for kind in kinds if kind is not types.NoneType]  # TOML has no null: what is there is not None
    hint = next((kind for kind in kinds if type(value) is kind), kinds[0])
    if dataclasses.is_dataclass(hint):
        return _parse(hint, value, f"{name}.")
    if typing.get_origin(hint) is tuple and Ellipsis in typing.get_args(hint):
        if not isinstance(value, list) or not value:
            raise RecipeError(f"{name} is {value!r}; expected a list of integers.")
        return tuple(_check(item, int, limits, f"{name}[{index}]") for index, item in enumerate(value))
    if typing.get_origin(hint) is tuple:
        pair = [value, value] if not isinstance(value, list) else value
        if len(pair) != 2:
            raise RecipeError(f"{name} is {value!r}; expected an integer or [height, width].")
        return tuple(_check(item, int, limits, name) for item in pair)
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint:
        raise RecipeError(f"{name} is {value!r}; expected {' or '.join(TYPE_NAMES[kind] for kind in kinds)}.")
    if hint is dict:
        _check_json(value, name)
    for limit, kept, text in (
        ("low", lambda bound: value >= bound, "at least {}"),
        ("high", lambda bound: value <= bound, "at most {}"),
        ("above", lambda bound: value > bound, "above {}"),
        ("below", lambda bound: value < bound, "below {}"),
        ("choices", lambda bound: value in bound, "one of {}"),
        ("pattern", lambda bound: re.fullmatch(bound, value), "to match {}"),
    ):
        if limit in limits and not kept(limits[limit]):
            raise RecipeError(f"{name} is {value!r}; expected {text.format(limits[limit])}.")
    if hint is float and not math.isfinite(value):
        raise RecipeError(f"{name} is {value!r}; expected a finite number.")
    return value


def _check_json(value, name):
    """Refuses dates and numbers that are not finite, which TOML has and JSON has not."""
    if isinstance(value, dict):
        for key, item in value.items():
            _check_json(item, f"{name}.{key}")
    elif isinstance(value, list):
        for i, item in enumerate(value):
            _check_json(item, f"{name}[{i}]")
    elif not isinstance(value, (str, int, float)) or not (isinstance(value, str) or math.isfinite(value)):
        raise RecipeError(f"{name} is {value!r}; expected a string, a finite number, true, false, a list or a table.")


def _to_dict(value):
    if dataclasses.is_dataclass(value):
        items = ((_key(entry), getattr(value, entry.name)) for entry in dataclasses.fields(value))
        return {key: _to_dict(item) for key, item in items if item is not None}
    if isinstance(value, dict):
        return {key: _to_dict(item) for key, item in value.items()}
    return [_to_dict(item) for item in value] if isinstance(value, (list, tuple)) else value


def _toml_value(text):
    try:
        table = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return table["value"] if len(table) == 1 else text


def _to_lines(table):
    keys = (key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _to_toml(key) for key in table)
    return [f"{key} = {_to_toml(value)}" for key, value in zip(keys, table.values(), strict=True)]


def _to_toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(_to_lines(value)) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_to_toml, value)) + "]"
    if isinstance(value, str):  # a JSON string is a TOML basic string, but for the raw DEL and surrogate pairs
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)
