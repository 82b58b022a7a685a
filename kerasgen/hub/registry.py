"""The entries of the zoo, and loading by name or folder."""

import csv
import difflib
import functools
import json
import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasgen.checkpoints import LIMIT, WEIGHTS, load_checkpoint, sha256
from kerasgen.errors import CheckpointError, HubError, RecipeError, UnknownModelError
from kerasgen.hub import adapters, client, foreign
from kerasgen.hub.client import Auth, Dir, Handle, Revision
from kerasgen.hub.figure_names import title
from kerasgen.recipes import Recipe

LARGEST = 2**20  # bytes of a metrics.json whose figures are shown
HEADLINES = 4  # figures that are shown


@dataclass(frozen=True)
class Entry:
    """One folder of the zoo; its files are read when they are asked for."""

    name: str
    folder: Path

    @functools.cached_property
    def recipe(self) -> Recipe:
        """Its `Recipe`. Raises `RecipeError`: recipe.toml cannot be read, or is named otherwise than its folder."""
        recipe = Recipe.load(self.folder / "recipe.toml")
        if recipe.name != self.name:
            raise RecipeError(f"{self.folder / 'recipe.toml'}: name is {recipe.name!r}; expected {self.name!r}.")
        return recipe

    @property
    def bundled(self) -> bool:
        """Whether the weights are here."""
        return (self.folder / WEIGHTS).is_file()

    @property
    def metrics(self) -> dict[str, Any]:
        """What metrics.json says."""
        return read_metrics(self.folder)


def read_metrics(folder: Path) -> dict[str, Any]:
    """What the metrics.json of a folder says; empty without that file."""
    path = folder / "metrics.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def headlines(folder: Path) -> list[tuple[str, str]]:
    """Names and values of the first figures in the metrics.json of a folder, as far as it can be read."""
    path = folder / "metrics.json"
    try:
        report = json.loads(path.read_text(encoding="utf-8")) if path.stat().st_size <= LARGEST else {}
        items = list(report["metrics"].items())[:HEADLINES]
        return [(title(name), f"{figure['value']:.4g}") for name, figure in items]
    except Exception:  # a stranger's file may hold anything, and a notebook is not to fail over it
        return []


def read_log(folder: Path) -> list[dict[str, str]]:
    """The rows of the log.csv of a folder; none without that file."""
    path = folder / "log.csv"
    return list(csv.DictReader(path.read_text().splitlines())) if path.is_file() else []


def zoo_folder() -> Path:
    """The folder of the entries: inside an installed package, or at the top of a checkout."""
    here = Path(__file__).resolve().parent
    return here / "entries" if (here / "entries").is_dir() else here.parents[1] / "zoo"


def entries() -> dict[str, Entry]:
    """`{name: Entry}`, sorted by name."""
    folders = (path.parent for path in sorted(zoo_folder().glob("*/recipe.toml")))
    return {folder.name: Entry(folder.name, folder) for folder in folders}


def _is_path(handle):
    """Whether a handle means a path.

    That of a folder that exists, one that starts with "/", "./", "../" or "~", or ends as files of models do.
    """
    if not isinstance(handle, str):
        return True
    if handle.startswith(("/", "./", "../", "~")):
        return True
    file = handle.lower().endswith((".keras", ".h5", ".hdf5")) or "://" in handle
    return not handle.startswith("hf://") and (file or (bool(handle) and Path(handle).is_dir()))


def _folder(handle):
    """The folder that a handle means; warns if an entry of the zoo has the same name."""
    if isinstance(handle, str) and handle in entries():
        advice = f"'./{handle}' says so; for the zoo's entry of that name, rename the folder or work in another one"
        warnings.warn(f"{handle!r} is taken for the folder {Path(handle).absolute()}: {advice}.", stacklevel=2)
    return Path(handle).expanduser()


def is_repository(handle: Handle) -> bool:
    """Whether a handle means a repository of the Hub: "hf://user/repo", or "user/repo" where no such folder is."""
    return not _is_path(handle) and "/" in os.fspath(handle)


def find_recipe(handle: Handle) -> Path:
    """The path of the recipe.toml that a zoo name, a recipe.toml, a folder or a repository with one means.

    Raises:
        RecipeError: the folder or repository has none.
        UnknownModelError: there is no such name.
        HubError: the repository cannot be had.
    """
    name = os.fspath(handle)
    if is_repository(handle) and not name.endswith(".toml"):
        path = foreign.checkpoint(name)
    elif _is_path(handle) or name.endswith(".toml"):
        path = _folder(handle)
    else:
        path = find(name).folder
    if path.suffix == ".toml":
        return path
    if not (path / "recipe.toml").is_file():
        known = "a zoo name, a recipe.toml, a folder or a repository that holds one"
        raise RecipeError(f"{handle} has no recipe.toml; expected {known}.")
    return path / "recipe.toml"


def describe(handle: Handle) -> dict[str, Any]:
    """Recipe and metrics of a zoo name or a checkpoint folder, as one dictionary."""
    path = find_recipe(handle)
    bundled = (path.parent / WEIGHTS).is_file()
    return Recipe.load(path).to_dict() | {"bundled": bundled, "measured": read_metrics(path.parent)}


def checkpoint_folder(
    handle: Handle, revision: Revision = None, token: Auth = None, cache_dir: Dir = None, local_files_only: bool = False
) -> Path:
    """The folder of the checkpoint that a handle means; see `load` for arguments and errors."""
    if _is_path(handle):
        return _folder(handle)
    name = os.fspath(handle)
    if is_repository(handle):
        return foreign.checkpoint(name, revision, token, cache_dir, local_files_only)
    if revision is not None:
        raise HubError(f"{handle!r} is a name of the zoo, which pins its revision; revision=... is for repositories.")
    entry = find(name)
    weights = entry.recipe.weights
    if entry.bundled:
        folder, remedy = entry.folder, "install kerasgen again"
    elif weights.handle is not None:
        folder = foreign.checkpoint(weights.handle, weights.revision, token, cache_dir, local_files_only)
        remedy = "report this"
    else:
        advice = f"train them with 'kerasgen train {handle} --workdir DIR' and load DIR"
        raise UnknownModelError(f"the weights of {handle!r} are not bundled with kerasgen; {advice}.")
    if weights.sha256 is not None and sha256(folder / WEIGHTS) != weights.sha256:
        raise CheckpointError(f"{folder / WEIGHTS} has not the SHA-256 in its recipe, {weights.sha256}; {remedy}.")
    return folder


def load(
    handle: Handle,
    revision: Revision = None,
    token: Auth = None,
    cache_dir: Dir = None,
    local_files_only: bool = False,
    *,
    trusted: Iterable[Any] = (),
    memory_limit: int | None = LIMIT,
    compile: bool = True,
    dtype: str | None = None,
) -> Any:
    """The model of a checkpoint folder or `.keras` file, a name of the zoo, or a repository of the Hugging Face Hub.

    Folders and repositories of diffusers are imported first (docs/importing.md). Of an adapter (`save_adapter`) the
    model that it names is loaded, and changed by it.

    Args:
        handle: in this order, the path of a folder that exists, of a `.keras` file, or one that starts with "/", "./",
            "../" or "~"; a name of the zoo; a repository, "user/repo", "hf://user/repo" or either with "@revision"
            behind it.
        revision: of a repository: a branch, tag or commit.
        token, cache_dir, local_files_only: as for `huggingface_hub.snapshot_download`.
        trusted: your own classes and functions that the model is made of, such as `[MyLayer]`; without them a model
            that names any class but those of kerasgen and some of Keras is refused.
        memory_limit: bytes that the model may hold at once for one example when it is used, beside its weights;
            `None` for any. What kerasgen brings along is not measured.
        compile: whether to compile it as it was when it was saved, with its optimizer's state.
        dtype: "mixed_float16" or "mixed_bfloat16" computes layers in 16 bits, from weights in float32; "float32"; or
            as it was saved if `None`. Layers of your own keep theirs.

    Raises:
        UnknownModelError: there is no such name, or its weights are not here.
        HubError: the repository cannot be had.
        CheckpointError: the checkpoint is damaged or refused.
    """
    folder = checkpoint_folder(handle, revision, token, cache_dir, local_files_only)
    digest = None
    if not _is_path(handle) and not is_repository(handle):
        entry = find(os.fspath(handle))
        digest = entry.recipe.weights.sha256
        memory_limit = None if entry.bundled else memory_limit
    if (folder / adapters.DESCRIPTION).is_file():
        how: dict[str, Any] = {"token": token, "cache_dir": cache_dir, "local_files_only": local_files_only}
        settings: dict[str, Any] = how | {"compile": False, "dtype": dtype, "memory_limit": memory_limit}

        def base_folder(base):
            if _is_path(base):  # which a stranger's adapter shall not have read
                raise CheckpointError("expected a name of the zoo or a repository")
            return checkpoint_folder(base, **how)

        model = adapters.load(folder, base_folder, lambda base: load(base, **settings, trusted=trusted))
    else:
        with foreign.imported(folder) as imported:
            model = load_checkpoint(imported, trusted, memory_limit, compile, digest, dtype)
        model.folder = folder
    if not _is_path(handle):  # of an adapter without a name, both are those of the model that it changes
        repository = client.parse_handle(os.fspath(handle), revision) if is_repository(handle) else (handle,)
        model.origin, model.folder = "@".join(filter(None, repository)), folder
    return model


def find(name: str) -> Entry:
    """The `Entry` of that name. Raises `UnknownModelError`: there is none; names the nearest."""
    known = entries()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise UnknownModelError(f"there is no model {name!r}; {hint}'kerasgen list' shows all.")
    return known[name]


def list_models(family: str | None = None) -> list[dict[str, Any]]:
    """What the zoo has, one dictionary an entry, without loading any model.

    Args:
        family: a class name such as "VariationalAutoencoder", or `None` for all.

    Returns:
        Dictionaries of `name`, `family`, `description`, `dataset`, `shape`, `num_classes`, `parameters` (`None`
        where metrics.json does not say), `bundled` and `metrics`.
    """
    models = []
    for name, entry in entries().items():
        recipe, metrics, config = entry.recipe, entry.metrics, entry.recipe.model.config
        if family in (None, recipe.model.class_name):
            told: dict[str, Any] = {"name": name, "family": recipe.model.class_name, "description": recipe.description}
            told |= {"dataset": recipe.dataset.title or recipe.dataset.source, "shape": config.get("shape")}
            told |= {"num_classes": config.get("num_classes"), "parameters": metrics.get("parameters")}
            models.append(told | {"bundled": entry.bundled, "metrics": metrics})
    return models


def save(model: Any, path: str | os.PathLike, overwrite: bool = True, **settings: Any) -> None:
    """As `model.save`: to a checkpoint folder or a `.keras` file."""
    model.save(path, overwrite, **settings)
