"""What a publication holds: the checkpoint, and whatever is known of it, written to a folder and tried out there."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from kerasgen.checkpoints import CONFIG, METADATA, WEIGHTS, load_checkpoint, save_checkpoint
from kerasgen.errors import CheckpointError, InputError
from kerasgen.hub.card import card, read_log
from kerasgen.recipes import Evaluation, Recipe


def write_package(source: Any, folder: Path, handle: str) -> None:
    """Writes the files of a publication to a new folder.

    Of a model: its checkpoint, a picture of what it does and a card. Of a checkpoint folder: its files, and the card
    written anew with `handle`. The written checkpoint is loaded, and one forward pass compared with the source's.

    Raises:
        CheckpointError: the source cannot be saved or loaded, or the written checkpoint computes something else.
    """
    recipe, report = None, None
    if isinstance(source, os.PathLike):
        model = load_checkpoint(source)
        for name in (CONFIG, METADATA, WEIGHTS, "samples.png", "metrics.json", "log.csv"):
            if (source / name).is_file():
                shutil.copyfile(source / name, folder / name)
        if (source / "recipe.toml").is_file():
            # Where an entry is published is known only after it is.
            recipe = Recipe.load(source / "recipe.toml").unpublished()
            (folder / "recipe.toml").write_text(recipe.to_toml())
        if (folder / "metrics.json").is_file():
            report = json.loads((folder / "metrics.json").read_text())
    else:
        model = source
        save_checkpoint(model, folder)
    picture = folder / "samples.png"
    if not picture.is_file():
        _draw(model, picture)
    difference = np.abs(model.probe() - load_checkpoint(folder).probe()).max()
    if not difference < 1e-4:
        raise CheckpointError(
            f"the written checkpoint computes something else than the model (by {difference:.3g}); nothing was "
            "published. Is its state kept outside its variables, or are its arguments missing in get_config?"
        )
    (folder / "README.md").write_text(card(handle, model, recipe, report, read_log(folder), picture.is_file()))


def _draw(model, path):
    """A picture of what the model does; none where there is nothing to see, or where it needs what is not here."""
    try:
        for exhibit in model.exhibit(None, None, Evaluation())[:1]:
            model.modality.write(exhibit.examples, path, exhibit.columns)
    except InputError:  # data to show, or a density of latents
        return
