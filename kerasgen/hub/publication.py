"""Publishing on the Hugging Face Hub: a checkpoint and whatever is known of it, written to a folder and tried there."""

import hashlib
import io
import json
import os
import tempfile
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from PIL import Image

from kerasgen.base import BaseModel
from kerasgen.checkpoints import FILES, WEIGHTS, checkpoint_file, load_checkpoint, save_checkpoint, trust
from kerasgen.errors import CheckpointError, InputError
from kerasgen.hub import adapters
from kerasgen.hub.card import write_card
from kerasgen.hub.client import SHEETS, Auth, Published, Revision, parse_handle, upload
from kerasgen.hub.registry import checkpoint_folder, headlines, is_repository, list_models, load
from kerasgen.recipes import Evaluation, Recipe
from kerasgen.typing import Any


def publish(
    source: Any,
    repo_id: str,
    private: bool = False,
    revision: Revision = None,
    create_pr: bool = False,
    commit_message: str | None = None,
    token: Auth = None,
) -> Published:
    """Publishes a model, a checkpoint folder or a name of the zoo as one commit; returns a `Published`.

    What a folder has besides, figures, log, picture and card, is sent only if it is of these weights; files that are
    links out of the folder are refused. All files are written to a temporary folder, loaded from there, and compared
    with the source in one forward pass before anything is sent. If the repository holds the same already, nothing is
    committed. After a failure the repository is as it was; a repository or branch that was made for this is removed
    again.

    Args:
        source: a model, a folder, a `.keras` file, or a name.
        repo_id: "user/repo"; made if it does not exist.
        private: of a new repository.
        revision: a branch; made from "main" if it does not exist.
        create_pr: open a pull request instead of committing.
        commit_message: "Publish with kerasgen VERSION" if `None`.
        token: of the Hub; the one you logged in with if `None`.

    Raises:
        CheckpointError: what was written is not what was to be published.
        HubError: the Hub did not take it.
    """
    repo_id, _ = parse_handle(repo_id)
    trees = None
    if isinstance(source, (str, os.PathLike)):
        handle, source = source, checkpoint_folder(source)
        # The client's cache keeps files beside the folders that link to them.
        trees = source.resolve().parents[1] if is_repository(handle) else source
    with tempfile.TemporaryDirectory(prefix="kerasgen-") as folder:
        write_package(source, Path(folder), repo_id, trees)
        return upload(Path(folder), repo_id, private, revision, create_pr, commit_message, token)


def write_package(source: Any, folder: Path, handle: str, within: Path | None = None) -> None:
    """Writes the files of a publication to a new folder.

    Of a model: its checkpoint, a picture of what it does and a card. Of a checkpoint folder or a `.keras` file: the
    checkpoint without optimizer, and what else it has of the weights as they are: picture, figures, log and recipe;
    the card is written anew with `handle`. What was made of other weights is left out, with a warning. The written
    checkpoint is loaded, and one forward pass compared with the source's.

    Args:
        within: a folder that no file of the source may be outside of; the source itself if `None`.

    Raises `CheckpointError`: the source cannot be saved or loaded, has links out of it or a picture that is none, or
    the written checkpoint computes something else.
    """
    recipe, report = None, {}
    if isinstance(source, os.PathLike):
        source = Path(source)
        model, files = _read_source(source, (within or source).resolve())
        recipe, report = files.pop("recipe.toml", None), json.loads(files.get("metrics.json", "{}"))
        for name, data in files.items():
            (folder / name).write_bytes(data)
        if recipe is not None:
            # Where an entry is published is known only after it is.
            (folder / "recipe.toml").write_bytes(recipe)
            recipe = Recipe.load(folder / "recipe.toml").unpublished()
            (folder / "recipe.toml").write_text(recipe.to_toml())
    else:
        model = source
    if not all((folder / name).is_file() for name in FILES):
        save_checkpoint(model, folder)
    if not (folder / model.modality.sheet).is_file():
        _draw(model, folder)
    written = load_checkpoint(folder, trusted=trust.own(model), memory_limit=None)
    difference = np.abs(model.probe() - written.probe()).max()
    if not difference < 1e-4:
        raise CheckpointError(
            f"the written checkpoint computes something else than the model (by {difference:.3g}); nothing was "
            "published. Is its state kept outside its variables, or are its arguments missing in get_config?"
        )
    write_card(recipe, model, report, folder, handle)


MEASURED = ("metrics.json", "log.csv", *SHEETS)  # made of the weights beside them


def _read_source(source, within):
    """The model of a folder or file, and `{name: bytes}` of what to publish of it, the checkpoint if it has no more."""
    model = load_checkpoint(source, memory_limit=None)
    if not source.is_dir():
        return model, {}
    names = [name for name in (*MEASURED, "recipe.toml") if (source / name).is_file()]
    paths = {name: checkpoint_file(source, name) for name in FILES} | {name: source / name for name in names}
    files = {}
    for name, path in paths.items():
        if not (real := path.resolve()).is_relative_to(within):
            told = f"{path} is a link to {real}, outside of the folder"
            raise CheckpointError(f"{told}; nothing was published. Put a copy in its place if it is to be sent.")
        files[name] = real.read_bytes()
    if "samples.png" in files:
        files["samples.png"] = _plain_picture(files["samples.png"], paths["samples.png"])
    digest = hashlib.sha256(files[WEIGHTS]).hexdigest()
    stale = [name for name in MEASURED if name in files and not _measured_on(files, digest)]
    recipe = Recipe.load(paths["recipe.toml"].resolve()) if "recipe.toml" in files else None
    if recipe is not None and recipe.weights.sha256 not in (None, digest):
        stale.append("recipe.toml")
    if stale:
        told = f"{', '.join(stale)} in {source} are of other weights than {WEIGHTS} there, or do not say of which"
        warnings.warn(f"{told}; they are left out, and the card has no figures.", stacklevel=4)
    if model.compiled:
        stale += FILES  # written anew, without optimizer
    return model, {name: data for name, data in files.items() if name not in stale}


def _measured_on(files, digest):
    """Whether what was measured was measured on the weights with this SHA-256."""
    try:
        report = json.loads(files.get("metrics.json", "{}"))
    except ValueError as error:
        raise CheckpointError(f"metrics.json is not JSON ({error}); remove it, or measure again.") from error
    return isinstance(report, dict) and report.get("weights_sha256") == digest


def _plain_picture(data, path):
    """A PNG file of the pixels of one, and of nothing else that is in it. Raises `CheckpointError`: it is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
                picture = image.convert("L" if image.mode in ("1", "L") else "RGB")
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        told = f"{path} is not a PNG picture ({error}); nothing was published. Remove it, and one is drawn"
        raise CheckpointError(f"{told}.") from error
    file = io.BytesIO()
    Image.fromarray(np.asarray(picture)).save(file, "PNG", optimize=True)
    return file.getvalue()


def _draw(model, folder):
    """A picture or texts of what the model does; none where there is nothing to see, or it needs what is not here."""
    try:
        for exhibit in model.exhibit(None, None, Evaluation())[:1]:
            model.modality.write(exhibit.examples, folder / model.modality.sheet, exhibit.columns)
    except InputError:  # data to show, or a density of latents
        return


def save_adapter(model: BaseModel, path: str | os.PathLike) -> None:
    """`model.save_adapter`."""
    adapters.save(model, path, checkpoint_folder)


def publish_adapter(model: BaseModel, repo_id: str, **settings: Any) -> Published:
    """Publishes the adapter of a model alone; settings, result and errors as of `publish`."""
    repo_id, _ = parse_handle(repo_id)
    with tempfile.TemporaryDirectory(prefix="kerasgen-") as name:
        folder = Path(name)
        save_adapter(model, folder)
        written = load(folder)
        difference = np.abs(model.probe() - written.probe()).max()
        if not difference < 1e-2:
            raise CheckpointError(
                f"the written adapter computes something else (by {difference:.3g}); nothing was sent."
            )
        _draw(model, folder)
        write_card(None, model, {}, folder, repo_id)
        return upload(folder, repo_id, **settings)


# What hub/ gives to every model: `push_to_hub`, `from_preset` and `presets`, and figures for notebooks to show.
BaseModel.hub = SimpleNamespace(
    publish=publish,
    publish_adapter=publish_adapter,
    save_adapter=save_adapter,
    load=load,
    list_models=list_models,
    headlines=headlines,
)
