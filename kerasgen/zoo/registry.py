"""The entries of the zoo, and loading by name or folder."""

import difflib
import functools
import json
import os
from dataclasses import dataclass
from pathlib import Path

from kerasgen.errors import CheckpointError, RecipeError, UnknownModelError
from kerasgen.training.recipe import Recipe
from kerasgen.zoo.checkpoint import WEIGHTS, load_checkpoint, sha256


@dataclass(frozen=True)
class Entry:
    """One folder of the zoo; its files are read when they are asked for."""

    name: str
    folder: Path

    @functools.cached_property
    def recipe(self):
        """Its `Recipe`.

        Raises:
            RecipeError: recipe.toml cannot be read, or is named otherwise than its folder.
        """
        recipe = Recipe.load(self.folder / "recipe.toml")
        if recipe.name != self.name:
            raise RecipeError(f"{self.folder / 'recipe.toml'}: name is {recipe.name!r}; expected {self.name!r}.")
        return recipe

    @property
    def bundled(self):
        """Whether the weights are here."""
        return (self.folder / WEIGHTS).is_file()

    @property
    def metrics(self):
        """What metrics.json says, or an empty dictionary without that file."""
        path = self.folder / "metrics.json"
        return json.loads(path.read_text()) if path.is_file() else {}


def zoo_folder():
    """The folder of the entries: inside an installed package, or at the top of a checkout."""
    here = Path(__file__).resolve().parent
    return here / "entries" if (here / "entries").is_dir() else here.parents[1] / "zoo"


def entries():
    """`{name: Entry}`, sorted by name."""
    return {
        path.parent.name: Entry(path.parent.name, path.parent) for path in sorted(zoo_folder().glob("*/recipe.toml"))
    }


def _is_path(handle):
    """Whether a handle means a folder: one that exists, or a path that starts with "/", "./", "../" or "~"."""
    text = os.fspath(handle)
    exists = bool(text) and Path(text).expanduser().is_dir()
    return not isinstance(handle, str) or exists or text.startswith(("/", "./", "../", "~"))


def find_recipe(handle):
    """The path of the recipe.toml that a zoo name, a recipe.toml or a folder with one means.

    Raises:
        RecipeError: the folder has none.
        UnknownModelError: there is no such name.
    """
    path = Path(handle).expanduser()
    if path.suffix == ".toml":
        return path
    if not _is_path(handle):
        return find(handle).folder / "recipe.toml"
    if not (path / "recipe.toml").is_file():
        raise RecipeError(f"{path} has no recipe.toml; expected a zoo name, a recipe.toml or a folder that holds one.")
    return path / "recipe.toml"


def describe(handle):
    """Recipe and metrics of a zoo name or a checkpoint folder, as one dictionary."""
    path = find_recipe(handle)
    entry = Entry(path.parent.name, path.parent)
    return Recipe.load(path).to_dict() | {"bundled": entry.bundled, "measured": entry.metrics}


def load(handle):
    """The model of a checkpoint folder, or of a name of the zoo.

    Args:
        handle: a folder that exists or a path that starts with "/", "./", "../" or "~"; else a name.

    Raises:
        UnknownModelError: there is no such name, or its weights are not here.
        CheckpointError: the checkpoint is damaged or refused.
    """
    if _is_path(handle):
        return load_checkpoint(Path(handle).expanduser())
    name = handle
    if name.startswith("hf://"):
        raise UnknownModelError(f"{name}: this version of kerasgen does not load from the Hugging Face Hub.")
    if os.sep in name or "/" in name:
        raise UnknownModelError(
            f"there is no folder {name!r}, and this version of kerasgen does not load from the Hugging Face Hub."
        )
    entry = find(name)
    if not entry.bundled:
        raise UnknownModelError(
            f"the weights of {name!r} are not bundled with kerasgen; train them with "
            f"'kerasgen train {name} --workdir DIR' and load DIR."
        )
    expected = entry.recipe.weights.sha256
    if expected is not None and sha256(entry.folder / WEIGHTS) != expected:
        raise CheckpointError(
            f"{entry.folder / WEIGHTS} has another SHA-256 than its recipe says ({expected}); install kerasgen again."
        )
    return load_checkpoint(entry.folder)


def find(name):
    """The `Entry` of that name.

    Raises:
        UnknownModelError: there is none; names the nearest.
    """
    known = entries()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise UnknownModelError(f"there is no model {name!r}; {hint}'kerasgen list' shows all.")
    return known[name]


def list_models(family=None):
    """What the zoo has, one dictionary an entry, without loading any model.

    Args:
        family: a class name such as "VariationalAutoencoder", or `None` for all.

    Returns:
        Dictionaries of `name`, `family`, `description`, `dataset`, `image_shape`, `num_classes`, `parameters` (`None`
        where metrics.json does not say), `bundled` and `metrics`.
    """
    models = []
    for name, entry in entries().items():
        recipe, metrics = entry.recipe, entry.metrics
        if family in (None, recipe.model.class_name):
            models.append(
                {
                    "name": name,
                    "family": recipe.model.class_name,
                    "description": recipe.description,
                    "dataset": recipe.dataset.title or recipe.dataset.source,
                    "image_shape": recipe.model.config.get("image_shape"),
                    "num_classes": recipe.model.config.get("num_classes"),
                    "parameters": metrics.get("parameters"),
                    "bundled": entry.bundled,
                    "metrics": metrics,
                }
            )
    return models
