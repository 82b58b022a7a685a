"""What a publication holds: the checkpoint, and whatever is known of it, written to a folder and tried out there."""

import csv
import json
import os
import shutil

import numpy as np

from kerasgen import pictures
from kerasgen.errors import CheckpointError, InputError
from kerasgen.models import Classifier, GenerativeModel
from kerasgen.gans.translator import Translator
from kerasgen.recipes import Recipe
from kerasgen.hub.card import card
from kerasgen.checkpoints.checkpoint import CONFIG, METADATA, WEIGHTS, load_checkpoint, save_checkpoint

NUM_SAMPLES = 100


def write_package(source, folder, handle):
    """Writes the files of a publication to a new folder.

    Of a model: its checkpoint, a grid of samples and a card. Of a checkpoint folder: its files, and the card written
    anew with `handle`. The written checkpoint is loaded, and one forward pass compared with the source's.

    Raises:
        CheckpointError: the source cannot be saved or loaded, or the written checkpoint computes something else.
    """
    if isinstance(source, os.PathLike):
        model, recipe, report, log = load_checkpoint(source), None, None, None
        for name in (CONFIG, METADATA, WEIGHTS, "samples.png", "metrics.json", "log.csv"):
            if (source / name).is_file():
                shutil.copyfile(source / name, folder / name)
        if (source / "recipe.toml").is_file():
            # Where an entry is published is known only after it is.
            recipe = Recipe.load(source / "recipe.toml").unpublished()
            (folder / "recipe.toml").write_text(recipe.to_toml())
        if (folder / "metrics.json").is_file():
            report = json.loads((folder / "metrics.json").read_text())
        if (folder / "log.csv").is_file():
            with open(folder / "log.csv", newline="") as file:
                log = list(csv.DictReader(file))
    else:
        model, recipe, report, log = source, None, None, None
        save_checkpoint(model, folder)
    grid = folder / "samples.png"
    if not grid.is_file():
        _draw(model, grid)
    again = load_checkpoint(folder)
    difference = np.abs(_forward(model) - _forward(again)).max()
    if not difference < 1e-4:
        raise CheckpointError(
            f"the written checkpoint computes something else than the model (by {difference:.3g}); nothing was "
            "published. Is its state kept outside its variables, or are its arguments missing in get_config?"
        )
    text = card(handle, type(model).__name__, model.get_config(), model.origin, recipe, report, log, grid.is_file())
    (folder / "README.md").write_text(text)


def _draw(model, path):
    """A grid of samples; none of vectors, classifiers, or where sampling needs what the model lacks."""
    if len(model.image_shape) == 1 or not isinstance(model, GenerativeModel):
        return
    columns = model.num_classes if model.num_classes and model.num_classes <= 20 else None
    try:
        samples = model.sample(NUM_SAMPLES, seed=0, verbose=0)
    except InputError:
        return
    pictures.save_grid(samples, path, columns)


def _forward(model):
    """What a model makes of two blank images, or draws where it does not read any."""
    blank = np.zeros((2, *model.image_shape), np.float32)
    if isinstance(model, Classifier):
        return np.concatenate(model.extract(blank, verbose=0), axis=1)
    labels = None if model.num_classes is None else np.zeros(2, np.int32)
    if isinstance(model, Translator):
        return model.translate(np.zeros((2, *model.source_shape), np.float32), verbose=0)
    if model.super_resolution is not None:
        return model.upscale(np.zeros((2, *model.small_shape), np.float32), labels, seed=0, verbose=0)
    if hasattr(model, "reconstruct"):
        return model.reconstruct(blank, labels, verbose=0)
    return model.sample(2, labels=labels, seed=0, verbose=0)
