"""From a recipe to a checkpoint: `train` repeats what made a zoo entry."""

import fcntl
import functools
import json
import shutil
from contextlib import contextmanager
from pathlib import Path

import keras

from kerasgen import data, models
from kerasgen.errors import KerasgenError, RecipeError
from kerasgen.metrics import Evaluation, evaluate
from kerasgen.gans.optimizer import Game
from kerasgen.training import hardware
from kerasgen.training.callbacks import (
    Backup,
    Grids,
    Log,
    StopAtNonFiniteLoss,
    save_enlargements,
    save_samples,
    save_translations,
)
from kerasgen.training.optimizers import game_optimizer, optimizer
from kerasgen.recipes import Recipe
from kerasgen.hub.card import write_card
from kerasgen.checkpoints.checkpoint import load_checkpoint, save_checkpoint, sha256

PREVIEW_IMAGES = 2000  # of the training set, to prepare the sampling of an epoch's grid


def build(recipe, precision="float32"):
    """The untrained model of a recipe. Raises `RecipeError` where its arguments do not fit the class."""
    families = sorted(models.FAMILIES.keys() - {"Pix2Pix"})  # no data set in the form of TFDS has pairs of images
    if recipe.model.class_name not in families:
        raise RecipeError(f"model.class is {recipe.model.class_name!r}; expected one of {families}.")
    if (recipe.model.class_name == "CycleGAN") != (recipe.dataset.domain is not None):
        raise RecipeError(
            f"dataset.domain is {recipe.dataset.domain}; a CycleGAN needs the class or attribute that parts the data "
            "set in two, and others none."
        )
    try:
        return models.FAMILIES[recipe.model.class_name](**recipe.model.config, dtype=precision)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"[model.config] does not fit {recipe.model.class_name}: {error}") from error


@contextmanager
def _only_run_in(folder):
    """Holds a lock on the folder, so that two runs never share one."""
    with open(folder / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise KerasgenError(f"another run is at work in {folder}; choose another --workdir.") from error
        yield


def _check_same_recipe(recipe, folder):
    """Keeps the recipe in the folder, and refuses to go on with one that would train another model."""
    path = folder / "recipe.toml"
    if not path.exists():
        path.write_text(recipe.to_toml())
    elif Recipe.load(path).digest != recipe.digest:
        raise RecipeError(
            f"{folder} holds a run of another recipe (recipe.toml there); choose another --workdir, or remove it to "
            "start afresh."
        )


def _source(recipe, split):
    """Arguments of `data.load` and its kin for a split of the recipe's data set."""
    dataset = recipe.dataset
    return {
        "source": dataset.source,
        "split": split,
        "image_size": dataset.image_size,
        "channels": dataset.channels,
        "labels": dataset.labels if isinstance(dataset.labels, str) else None if dataset.labels else False,
    }


def load_split(recipe, split):
    """Images and labels (or `None`) of a split of the recipe's data set, as NumPy arrays."""
    return data.load_arrays(**_source(recipe, split))


def load_kinds(recipe, split):
    """Images of both kinds in a split of a recipe with `dataset.domain`, as NumPy arrays."""
    return data.load_domain_arrays(**_source(recipe, split), domain=recipe.dataset.domain)


def grid(recipe, model, split):
    """`save(model, path)`, which writes the grid of models of this recipe, or `None` for classifiers.

    Those that read images get the first of a split.
    """
    if isinstance(model, models.CycleGAN):
        return functools.partial(save_translations, kinds=load_kinds(recipe, split))
    if not isinstance(model, models.GenerativeModel):
        return None
    if model.super_resolution is None:
        return functools.partial(save_samples, settings=recipe.evaluation)
    images, labels = load_split(recipe, split)
    return functools.partial(save_enlargements, images=images, labels=labels, settings=recipe.evaluation)


def _load(recipe, split, **settings):
    """The `tf.data.Dataset` of a split, in which models of this recipe are trained and validated."""
    if recipe.dataset.domain is None:
        return data.load(**_source(recipe, split), **settings)
    settings = {name: value for name, value in settings.items() if name not in ("cache", "drop_remainder")}
    return data.load_domains(**_source(recipe, split), domain=recipe.dataset.domain, **settings)


def _num_steps(recipe):
    """Training steps in an epoch."""
    batch_size, split = recipe.training.batch_size, recipe.dataset.train_split
    if recipe.dataset.domain is None:
        return data.steps_per_epoch(recipe.dataset.source, split, batch_size, drop_remainder=True)
    return len(_load(recipe, split, batch_size=batch_size))


def train(recipe, workdir, verbose="auto"):
    """Trains, evaluates and saves the model of a recipe; returns the checkpoint folder, `workdir/checkpoint`.

    `workdir` gets log.csv (a line an epoch), samples/ (a grid an epoch) and backup.npz (the state after the last whole
    epoch). Run again after a kill, it goes on from there, and ends with the same weights as if it had not been killed.
    Raises `RecipeError` if the folder holds a run of another recipe.
    """
    workdir = Path(workdir)
    training = recipe.training
    keras.utils.set_random_seed(training.seed % 2**32)  # of the initial weights
    model = build(recipe, training.precision)
    steps = _num_steps(recipe)
    workdir.mkdir(parents=True, exist_ok=True)
    with _only_run_in(workdir):
        _check_same_recipe(recipe, workdir)
        if isinstance(model, Game):
            model.compile(game_optimizer(training, steps * training.epochs, model.discriminator_steps))
        else:
            model.compile(optimizer(training, steps * training.epochs))
        backup = Backup(workdir / "backup.npz")
        epoch = backup.restore(model)
        if epoch < training.epochs:
            _fit(recipe, model, steps, epoch, backup, workdir, verbose)
        model.optimizer.finalize_variable_values(model.trainable_variables)  # the averaged weights, if averaged
        if isinstance(model, models.GenerativeModel):
            images, _ = load_split(recipe, recipe.dataset.train_split)
            model.prepare_sampling(images)
        facts = hardware.describe() | {
            "epochs": training.epochs,
            "steps": steps * training.epochs,
            "hours": round(backup.seconds / 3600, 3),
        }
        return _finish(recipe, model, facts, workdir / "log.csv", workdir / "checkpoint", verbose)


def _fit(recipe, model, steps, epoch, backup, workdir, verbose):
    training = recipe.training
    dataset = _load(
        recipe,
        recipe.dataset.train_split,
        batch_size=training.batch_size,
        shuffle=True,
        seed=training.seed,
        flip=recipe.dataset.flip,
        cache=True,
        drop_remainder=True,
        repeat=True,
        first_epoch=epoch,
    )
    callbacks = [StopAtNonFiniteLoss(), Log(workdir / "log.csv", epoch), backup]
    save = grid(recipe, model, recipe.dataset.validation_split or recipe.dataset.train_split)
    if save is not None:
        preview = None
        if isinstance(model, models.GenerativeModel):
            preview = next(iter(data.load(**_source(recipe, recipe.dataset.train_split), batch_size=PREVIEW_IMAGES)))
            preview = (preview[0] if isinstance(preview, tuple) else preview).numpy()
        callbacks.insert(1, Grids(workdir / "samples", save, preview))
    if training.ema_momentum is not None:
        callbacks.append(keras.callbacks.SwapEMAWeights())  # for the validation only
    validation = None
    if recipe.dataset.validation_split:
        validation = _load(recipe, recipe.dataset.validation_split, batch_size=training.batch_size)
    model.fit(
        dataset,
        epochs=training.epochs,
        initial_epoch=epoch,
        steps_per_epoch=steps,
        validation_data=validation,
        callbacks=callbacks,
        verbose=verbose,
    )


def _finish(recipe, model, facts, log, folder, verbose):
    """Writes the checkpoint, then measures and describes the model that it holds.

    It computes in float32, whatever the precision of the training: the same on machines without bfloat16.
    """
    shipped = build(recipe)
    shipped.set_weights(model.get_weights())
    save_checkpoint(shipped, folder, dtype=recipe.weights.dtype)
    model = load_checkpoint(folder)  # what is measured is what is shipped, rounded to its dtype
    digest = sha256(folder / "model.weights.h5")
    report = {
        "model": recipe.name,
        "weights_sha256": digest,
        "parameters": model.count_params(),
        "training": facts,
    } | evaluate_recipe(recipe, model, recipe.evaluation.split, verbose)
    (folder / "metrics.json").write_text(json.dumps(report, indent=2) + "\n")
    save = grid(recipe, model, recipe.evaluation.split)
    if save is not None:
        save(model, folder / "samples.png")
    (folder / "recipe.toml").write_text(recipe.override([f"weights.sha256={digest!r}"]).to_toml())
    shutil.copyfile(log, folder / "log.csv")
    write_card(recipe, report, folder)
    return folder


def evaluation(recipe, model, split, verbose="auto"):
    """The `Evaluation` of a recipe's model on a split of its data set."""
    settings = recipe.evaluation
    if recipe.dataset.domain is None:
        contents = {"training": lambda: load_split(recipe, recipe.dataset.train_split)[0]}
        images, labels = load_split(recipe, split)
    else:
        sources, images = load_kinds(recipe, split)
        contents, labels = {"sources": sources}, None
    return Evaluation(
        model,
        images,
        labels,
        split,
        dataset=recipe.dataset.source,
        extractor=settings.extractor,
        num_samples=settings.num_samples,
        num_importance_samples=settings.num_importance_samples,
        num_evaluations=settings.num_evaluations,
        likelihood_images=settings.likelihood_images,
        drawing=settings.drawing,
        seed=settings.seed,
        batch_size=settings.batch_size,
        **contents,
        verbose=verbose,
    )


def evaluate_recipe(recipe, model, split, verbose="auto", metrics=None):
    """Figures of a recipe's model on a split of its data set, with the hardware that measured them."""
    return evaluate(evaluation(recipe, model, split, verbose), metrics) | {"evaluation": hardware.describe()}
