"""Publishing on the Hugging Face Hub: a checkpoint and whatever is known of it, written to a folder and tried there."""

import os
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from kerasgen.base import BaseModel
from kerasgen.checkpoints import CONFIG, METADATA, WEIGHTS, load_checkpoint, save_checkpoint
from kerasgen.errors import CheckpointError, InputError
from kerasgen.hub.card import write_card
from kerasgen.hub.client import Auth, Published, Revision, parse_handle, upload
from kerasgen.hub.registry import checkpoint_folder, list_models, load, read_metrics
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

    All files are written to a temporary folder, loaded from there, and compared with the source in one forward pass
    before anything is sent. If the repository holds the same already, nothing is committed. After a failure the
    repository is as it was; a repository or branch that was made for this is removed again.

    Args:
        source: a model, a folder, or a name.
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
    if isinstance(source, (str, os.PathLike)):
        source = checkpoint_folder(source)
    with tempfile.TemporaryDirectory(prefix="kerasgen-") as folder:
        write_package(source, Path(folder), repo_id)
        return upload(Path(folder), repo_id, private, revision, create_pr, commit_message, token)


def write_package(source: Any, folder: Path, handle: str) -> None:
    """Writes the files of a publication to a new folder.

    Of a model: its checkpoint, a picture of what it does and a card. Of a checkpoint folder: its files, and the card
    written anew with `handle`. The written checkpoint is loaded, and one forward pass compared with the source's.

    Raises `CheckpointError`: the source cannot be saved or loaded, or the written checkpoint computes something else.
    """
    recipe, report = None, {}
    if isinstance(source, os.PathLike):
        source = Path(source)
        model = load_checkpoint(source)
        for name in (CONFIG, METADATA, WEIGHTS, "samples.png", "metrics.json", "log.csv"):
            if (source / name).is_file():
                shutil.copyfile(source / name, folder / name)
        if (source / "recipe.toml").is_file():
            # Where an entry is published is known only after it is.
            recipe = Recipe.load(source / "recipe.toml").unpublished()
            (folder / "recipe.toml").write_text(recipe.to_toml())
        report = read_metrics(source)
    else:
        model = source
        save_checkpoint(model, folder)
    if not (folder / "samples.png").is_file():
        _draw(model, folder / "samples.png")
    difference = np.abs(model.probe() - load_checkpoint(folder).probe()).max()
    if not difference < 1e-4:
        raise CheckpointError(
            f"the written checkpoint computes something else than the model (by {difference:.3g}); nothing was "
            "published. Is its state kept outside its variables, or are its arguments missing in get_config?"
        )
    write_card(recipe, model, report, folder, handle)


def _draw(model, path):
    """A picture of what the model does; none where there is nothing to see, or where it needs what is not here."""
    try:
        for exhibit in model.exhibit(None, None, Evaluation())[:1]:
            model.modality.write(exhibit.examples, path, exhibit.columns)
    except InputError:  # data to show, or a density of latents
        return


# What hub/ gives to every model: `push_to_hub`, `from_preset` and `presets`.
BaseModel.hub = SimpleNamespace(publish=publish, load=load, list_models=list_models)
