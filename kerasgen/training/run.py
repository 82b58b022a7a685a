"""From a recipe to a checkpoint: `train` repeats what made a zoo entry."""

import fcntl
import inspect
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras

from kerasgen import data
from kerasgen.base import FAMILIES, BaseModel, Exhibit, GenerativeModel
from kerasgen.checkpoints import load_checkpoint, save_checkpoint, sha256
from kerasgen.classifiers.perceptual import PerceptualDistance
from kerasgen.errors import DatasetError, KerasgenError, RecipeError
from kerasgen.hub.card import write_card
from kerasgen.hub.registry import load
from kerasgen.metrics import Evaluation, evaluate
from kerasgen.recipes import Recipe, Training
from kerasgen.training import hardware
from kerasgen.training.callbacks import Backup, Log, Pictures, StopAtNonFiniteLoss
from kerasgen.training.datasets import load_split, source_of
from kerasgen.training.extractors import load_extractor
from kerasgen.training.optimizers import optimizer_of
from kerasgen.typing import Any, Callable, Sequence, Verbose

PREVIEW_IMAGES = 2000  # of the training set, to prepare the sampling of an epoch's picture


def build(recipe: Recipe, precision: str = "float32") -> BaseModel:
    """The untrained model of a recipe; a handle in its config, where the family takes a model, is loaded.

    Raises `RecipeError`: the class is unknown, or the arguments do not fit it.
    """
    name = recipe.model.class_name
    if name not in FAMILIES:
        raise RecipeError(f"model.class is {name!r}; expected one of {sorted(FAMILIES)}.")
    for kind, entry, needs in (
        ("domains", "domain", "needs the class or attribute that parts the data set in two"),
        ("pairs", "pairs", "needs to be told what it is given for an image"),
    ):
        given = getattr(recipe.dataset, entry)
        if (FAMILIES[name].trains_on == kind) != (given is not None):
            needs = needs if given is None else "does not train on such, so there must be none"
            raise RecipeError(f"dataset.{entry} is {given}; a {name} {needs}.")
    config = dict(recipe.model.config)
    handles = {key: config[key] for key in FAMILIES[name].model_arguments if isinstance(config.get(key), str)}
    config |= {key: load(handle) for key, handle in handles.items()}
    try:
        return FAMILIES[name](**config, dtype=precision)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"[model.config] does not fit {name}: {error}") from error


def losses_of(model: BaseModel, training: Training) -> dict[str, Any]:
    """What `compile` gets besides an optimizer: the classifier of a perceptual distance, and its weight.

    Raises `RecipeError`: the model has no such loss.
    """
    if training.perceptual is None:
        return {}
    if "perceptual" not in inspect.signature(model.compile).parameters:
        raise RecipeError(f"training.perceptual is {training.perceptual!r}; a {type(model).__name__} has no such loss.")
    distance, weight = PerceptualDistance(load(training.perceptual)), training.perceptual_weight
    return {"perceptual": distance} | ({} if weight is None else {"perceptual_weight": weight})


@contextmanager
def _only_run_in(folder: Path) -> Iterator[None]:
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
        advice = "choose another --workdir, or remove it to start afresh"
        raise RecipeError(f"{folder} holds a run of another recipe (recipe.toml there); {advice}.")


def exhibit(recipe: Recipe, model: BaseModel, split: str) -> Callable[[], Exhibit] | None:
    """What gives the first exhibit of a model of this recipe, of the images of a split; `None` if there is none."""
    if not model.exhibit(None, None, recipe.evaluation):
        return None
    examples, labels = load_split(recipe, split) if model.shows_examples else (None, None)
    return lambda: model.exhibit(examples, labels, recipe.evaluation)[0]


def _load(recipe, split, **settings):
    """The `tf.data.Dataset` of a split that models of this recipe are trained or validated on."""
    if recipe.dataset.pairs is not None:
        del settings["cache"]
        return data.load_pairs(**source_of(recipe, split), **settings)
    if recipe.dataset.domain is None:
        return data.load(**source_of(recipe, split), **settings)
    settings = {name: value for name, value in settings.items() if name not in ("cache", "drop_remainder")}
    return data.load_domains(**source_of(recipe, split), domain=recipe.dataset.domain, **settings)


def _num_steps(recipe):
    """Training steps in an epoch."""
    batch_size, split = recipe.training.batch_size, recipe.dataset.train_split
    if recipe.dataset.domain is None:
        return data.steps_per_epoch(recipe.dataset.source, split, batch_size, drop_remainder=True)
    return len(_load(recipe, split, batch_size=batch_size))


def train(recipe: Recipe, workdir: str | Path, verbose: Verbose = "auto") -> Path:
    """Trains, evaluates and saves the model of a recipe; returns the checkpoint folder, `workdir/checkpoint`.

    `workdir` gets log.csv (a line an epoch), samples/ (a picture an epoch) and backup.npz (the state after the last
    whole epoch). Run again after a kill, it goes on from there, and ends with the same weights as if not killed.

    Raises `RecipeError`: the folder holds a run of another recipe.
    """
    workdir = Path(workdir)
    training = recipe.training
    keras.utils.set_random_seed(training.seed % 2**32)  # of the initial weights
    model = build(recipe, training.precision)
    steps = _num_steps(recipe)
    workdir.mkdir(parents=True, exist_ok=True)
    with _only_run_in(workdir):
        _check_same_recipe(recipe, workdir)
        model.compile(optimizer_of(model, training, steps * training.epochs), **losses_of(model, training))
        backup = Backup(workdir / "backup.npz")
        epoch = backup.restore(model)
        load_split(recipe, recipe.evaluation.split)  # what it will be measured on is there and whole
        if epoch < training.epochs:
            if verbose and (faster := hardware.faster_backend(model)):
                print(f"On a CPU such a model trains faster with KERAS_BACKEND={faster}.", file=sys.stderr)
            _fit(recipe, model, steps, epoch, backup, workdir, verbose)
        hours = round(backup.seconds / 3600, 3)
        facts = {"epochs": training.epochs, "steps": steps * training.epochs, "hours": hours}
        return finish(recipe, model, hardware.describe() | facts, workdir, verbose)


def _fit(recipe, model, steps, epoch, backup, workdir, verbose):
    training, split = recipe.training, recipe.dataset.train_split
    drawn = {"shuffle": True, "seed": training.seed, "flip": recipe.dataset.flip, "first_epoch": epoch, "repeat": True}
    dataset = _load(recipe, split, batch_size=training.batch_size, cache=True, drop_remainder=True, **drawn)
    callbacks = [StopAtNonFiniteLoss(), Log(workdir / "log.csv", epoch), backup]
    shown = exhibit(recipe, model, recipe.dataset.validation_split or split)
    if shown is not None:
        preview = None
        if isinstance(model, GenerativeModel):
            preview = next(iter(data.load(**source_of(recipe, split), batch_size=PREVIEW_IMAGES)))
            preview = (preview[0] if isinstance(preview, tuple) else preview).numpy()
        callbacks.insert(1, Pictures(workdir / "samples", shown, preview))
    validation = None
    if recipe.dataset.validation_split:
        validation = _load(recipe, recipe.dataset.validation_split, batch_size=training.batch_size, cache=True)
    epochs = {"epochs": training.epochs, "initial_epoch": epoch, "steps_per_epoch": steps}
    model.fit(dataset, **epochs, validation_data=validation, callbacks=callbacks, verbose=verbose)


def finish(recipe: Recipe, model: BaseModel, facts: dict[str, Any], workdir: Path, verbose: Verbose = "auto") -> Path:
    """Writes the checkpoint of a trained model, then measures and describes the model that it holds.

    It computes in float32, whatever the precision of the training: the same on machines without bfloat16.

    Args:
        facts: of the training, for the record: hardware, epochs, steps, hours.
        workdir: has log.csv and gets `checkpoint`, which is returned.
    """
    if isinstance(model, GenerativeModel):
        images, _ = load_split(recipe, recipe.dataset.train_split)
        model.prepare_sampling(images)
    folder = workdir / "checkpoint"
    shipped = build(recipe)
    shipped.set_weights(model.get_weights())
    save_checkpoint(shipped, folder, dtype=recipe.weights.dtype)
    model = load_checkpoint(folder)  # what is measured is what is shipped, rounded to its dtype
    digest = sha256(folder / "model.weights.h5")
    report = {"model": recipe.name, "weights_sha256": digest, "parameters": model.count_params(), "training": facts}
    report |= evaluate_recipe(recipe, model, recipe.evaluation.split, verbose)
    (folder / "metrics.json").write_text(json.dumps(report, indent=2) + "\n")
    save_picture(recipe, model, folder)
    (folder / "recipe.toml").write_text(recipe.override([f"weights.sha256={digest!r}"]).to_toml())
    shutil.copyfile(workdir / "log.csv", folder / "log.csv")
    write_card(recipe, model, report, folder)
    return folder


def save_picture(recipe: Recipe, model: BaseModel, folder: Path) -> None:
    """Writes samples.png, what the model shows of itself, if it shows anything."""
    if shown := exhibit(recipe, model, recipe.evaluation.split):
        first = shown()
        model.modality.write(first.examples, folder / "samples.png", first.columns)


def evaluation(recipe: Recipe, model: BaseModel, split: str, verbose: Verbose = "auto") -> Evaluation:
    """The `Evaluation` of a recipe's model on a split of its data set."""
    settings = recipe.evaluation
    images, labels = load_split(recipe, split)
    classes, known = recipe.model.config.get("num_classes"), model.num_classes
    if None not in (classes, known) and classes != known:
        raise DatasetError(f"{recipe.dataset.source} has {classes} classes and the model {known}; expected the same.")
    contents: dict[str, Any] = {"training": lambda: load_split(recipe, recipe.dataset.train_split)[0]}
    columns = recipe.dataset.columns
    if recipe.dataset.domain is not None or recipe.dataset.pairs is not None:
        contents, images, labels = {"given": images}, labels, None
    contents["extractor"] = extractor = None if settings.extractor is None else load_extractor(settings.extractor)
    if recipe.dataset.domain is not None and extractor is not None and extractor.num_classes is None:
        columns = [recipe.dataset.domain]
    how = {"columns": columns, "settings": settings, "dataset": recipe.dataset.source, "verbose": verbose}
    return Evaluation(model, images, labels, split, **how, **contents)


def evaluate_recipe(
    recipe: Recipe, model: BaseModel, split: str, verbose: Verbose = "auto", metrics: Sequence[str] | None = None
) -> dict[str, Any]:
    """Figures of a recipe's model on a split of its data set, with the hardware that measured them."""
    return evaluate(evaluation(recipe, model, split, verbose), metrics) | {"evaluation": hardware.describe()}
