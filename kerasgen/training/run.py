"""From a recipe to a checkpoint: `train` repeats what made a zoo entry."""

import inspect
import json
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
from filelock import FileLock, Timeout

from kerasgen import data
from kerasgen.base import FAMILIES, BaseModel, Exhibit, GenerativeModel
from kerasgen.checkpoints import load_checkpoint, save_checkpoint, sha256
from kerasgen.classifiers.perceptual import PerceptualDistance
from kerasgen.errors import DatasetError, KerasgenError, RecipeError, RunStopped
from kerasgen.hub.card import write_card
from kerasgen.hub.registry import load
from kerasgen.metrics import Evaluation, evaluate
from kerasgen.recipes import Recipe, Training
from kerasgen.training import hardware, strategies
from kerasgen.training.backups import Backup
from kerasgen.training.callbacks import Log, Pictures, SampleQuality, StopAtNonFiniteLoss
from kerasgen.training.datasets import load_split, sounds_in, source_of
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
    try:
        lock = FileLock(folder / ".lock").acquire(blocking=False)
    except Timeout as error:
        raise KerasgenError(f"another run is at work in {folder}; choose another --workdir.") from error
    with lock:
        yield


@contextmanager
def _stopped_by_sigterm(backup: Backup) -> Iterator[None]:
    """Has SIGTERM end training after the step at work, with a backup, and what comes after training at once.

    Only the main thread can handle signals; in others SIGTERM does what it did.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(*_):
        if not backup.training:
            raise RunStopped("the run was stopped before or after its training; run it again, and it goes on.")
        backup.stop()

    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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
    shown = model.shows_examples or recipe.evaluation.picture is not None
    examples, labels = load_split(recipe, split) if shown else (None, None)
    return lambda: model.exhibit(examples, labels, recipe.evaluation)[0]


def _load(recipe, split, **settings):
    """The `tf.data.Dataset` of a split that models of this recipe are trained or validated on."""
    plain = {name: value for name, value in settings.items() if name not in ("cache", "flip")}
    others = (recipe.dataset.texts, sounds_in(recipe), recipe.dataset.moving)  # than images as they are
    if recipe.dataset.flip and any(kind is not None for kind in others):
        raise RecipeError("dataset.flip is of images; leave it out for texts, sounds and images that move.")
    if recipe.dataset.texts is not None:
        if split == recipe.dataset.train_split:
            plain |= {"stride": recipe.dataset.stride, "transpose": recipe.dataset.transpose}
        return data.load_texts(**source_of(recipe, split), **plain)
    if sounds_in(recipe) is not None:
        return data.load_sounds(**source_of(recipe, split), **plain)
    if recipe.dataset.moving is not None:
        return data.load_moving(**source_of(recipe, split), **plain)
    if recipe.dataset.pairs is not None:
        del settings["cache"]
        return data.load_pairs(**source_of(recipe, split), **settings)
    if recipe.dataset.domain is None:
        return data.load(**source_of(recipe, split), **settings)
    settings = {name: value for name, value in settings.items() if name not in ("cache", "drop_remainder")}
    return data.load_domains(**source_of(recipe, split), domain=recipe.dataset.domain, **settings)


def num_batches(recipe: Recipe) -> int:
    """Batches in the training set of a recipe."""
    batch_size, split = recipe.training.batch_size, recipe.dataset.train_split
    if recipe.dataset.domain is None and recipe.dataset.texts is None and sounds_in(recipe) is None:
        patches = recipe.dataset.patches
        return data.steps_per_epoch(recipe.dataset.source, split, batch_size, drop_remainder=True, patches=patches)
    return len(_load(recipe, split, batch_size=batch_size, drop_remainder=True))


def training_set(recipe: Recipe, step: int = 0, shard: tuple[int, int] = (0, 1), cache: Any = True) -> Any:
    """The `tf.data.Dataset` of batches, or of a process's parts of them, to train on for ever from a step on."""
    drawn: dict[str, Any] = {"shuffle": True, "seed": recipe.training.seed, "flip": recipe.dataset.flip, "repeat": True}
    drawn["first_epoch"], drawn["first_batch"] = divmod(step, num_batches(recipe)) if step else (0, 0)
    settings = {"batch_size": recipe.training.batch_size, "cache": cache, "drop_remainder": True, "shard": shard}
    return _load(recipe, recipe.dataset.train_split, **settings, **drawn)


def compiled(recipe: Recipe, num_steps: int) -> BaseModel:
    """The untrained model of a recipe, compiled for so many steps."""
    keras.utils.set_random_seed(recipe.training.seed % 2**32)  # of the initial weights
    model = build(recipe, recipe.training.precision)
    model.compile(optimizer_of(model, recipe.training, num_steps), **losses_of(model, recipe.training))
    return model


def train(
    recipe: Recipe,
    workdir: str | Path,
    verbose: Verbose = "auto",
    backup_seconds: float = 600.0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    strategy: str = "auto",
    cache: str | Path | None = None,
) -> Path:
    """Trains, evaluates and saves the model of a recipe; returns the checkpoint folder, `workdir/checkpoint`.

    `workdir` gets log.csv (a line an epoch), samples/ (a picture an epoch) and backups/ (the state at the end of each
    epoch, and within it every `backup_seconds`). Run again after a kill, it goes on from the newest, and ends with the
    same weights as if not killed. SIGTERM ends the step at work and writes a backup.

    Args:
        callbacks: further ones for `fit`, such as `keras.callbacks.TensorBoard`.
        strategy: see `kerasgen.strategy`. Of several processes the first writes to `workdir`, from which all must be
            able to read, and each of the others writes to a folder in it, `worker-1` and so on.
        cache: a folder to keep the decoded training set in, where it is larger than memory.

    Raises:
        RecipeError: the folder holds a run of another recipe.
        RunStopped: by SIGTERM.
        ProcessLost: another of the processes that train together is gone.
    """
    engine = strategies.strategy(strategy)
    number, processes = strategies.process_of(engine)
    shard = strategies.shard_of(engine, recipe.training.batch_size)
    backups = Path(workdir) / "backups"
    workdir = Path(workdir) / f"worker-{number}" if number else Path(workdir)
    training = recipe.training
    steps = training.steps_per_epoch or num_batches(recipe)
    with engine.scope():
        model = compiled(recipe, steps * training.epochs)
    workdir.mkdir(parents=True, exist_ok=True)
    with _only_run_in(workdir):
        _check_same_recipe(recipe, workdir)
        backup = Backup(backups, steps, interval=backup_seconds, monitor=training.monitor, writes=number == 0)
        backup.restore(model)
        load_split(recipe, recipe.evaluation.split)  # what it will be measured on is there and whole
        with _stopped_by_sigterm(backup):
            if verbose and backup.step < steps * training.epochs and (faster := hardware.faster_backend(model)):
                print(f"On a CPU such a model trains faster with KERAS_BACKEND={faster}.", file=sys.stderr)
            while backup.step < steps * training.epochs:
                with engine.scope(), strategies.together(processes):
                    _fit(recipe, model, steps, backup, workdir, verbose, callbacks, shard, cache)
            backup.restore_best(model)
            hours = round(backup.seconds / 3600, 3)
            facts = {"epochs": training.epochs, "steps": steps * training.epochs, "hours": hours}
            return finish(recipe, model, hardware.describe() | facts, workdir, verbose)


def _fit(recipe, model, steps, backup, workdir, verbose, further, shard, cache):
    """Trains to the end, or what remains of an epoch that was begun before."""
    training, split = recipe.training, recipe.dataset.train_split
    epoch, done = divmod(backup.step, steps)
    epochs = {"initial_epoch": epoch, "epochs": epoch + 1 if done else training.epochs, "steps_per_epoch": steps - done}
    callbacks: list[keras.callbacks.Callback] = [StopAtNonFiniteLoss()]
    shown = exhibit(recipe, model, _held_out(recipe))
    if shown is not None:
        preview = None
        if isinstance(model, GenerativeModel):
            preview = next(iter(_load(recipe, split, batch_size=PREVIEW_IMAGES, cache=cache or False)))
            preview = (preview[0] if isinstance(preview, tuple) else preview).numpy()
        callbacks.append(Pictures(workdir / "samples", shown, preview))
    if training.quality_every is not None:
        callbacks.append(_quality(recipe, model))
    callbacks += [Log(workdir / "log.csv", epoch), backup, *further]
    validation = None
    if recipe.dataset.validation_split:
        how = {"batch_size": training.batch_size, "cache": True, "shard": shard, "drop_remainder": shard[1] > 1}
        validation = _load(recipe, recipe.dataset.validation_split, **how)
    dataset = training_set(recipe, backup.step, shard, cache or True)
    model.fit(dataset, **epochs, validation_data=validation, callbacks=callbacks, verbose=verbose)


def _quality(recipe, model):
    """Raises `RecipeError`: the recipe names no extractor, or nothing is held out."""
    settings, split = recipe.evaluation, recipe.dataset.validation_split
    if None in (settings.extractor, split):
        raise RecipeError("training.quality_every needs evaluation.extractor and dataset.validation_split.")
    images, labels = load_split(recipe, split)
    how = settings.drawing | {"every": recipe.training.quality_every, "num_samples": min(1000, settings.num_samples)}
    return SampleQuality(images, settings.extractor, None if model.num_classes is None else labels, **how)


def _held_out(recipe):
    """The split to look at what was not trained on, if there is one."""
    return recipe.dataset.validation_split or recipe.dataset.train_split


def _normal(examples, labels):
    """Of a table with labels those that are normal, 0; all of others."""
    return examples[labels == 0] if labels is not None and examples.ndim == 2 and labels.ndim == 1 else examples


def finish(recipe: Recipe, model: BaseModel, facts: dict[str, Any], workdir: Path, verbose: Verbose = "auto") -> Path:
    """Writes the checkpoint of a trained model, then measures and describes the model that it holds.

    It computes in float32, whatever the precision of the training: the same on machines without bfloat16.

    Args:
        facts: of the training, for the record: hardware, epochs, steps, hours.
        workdir: has log.csv and gets `checkpoint`, which is returned.
    """
    model.finish_training(
        lambda: load_split(recipe, recipe.dataset.train_split)[0],
        lambda: _normal(*load_split(recipe, _held_out(recipe))),
    )
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
    """Writes samples.png, or of texts samples.txt, what the model shows of itself, if it shows anything."""
    if shown := exhibit(recipe, model, recipe.evaluation.split):
        first = shown()
        model.modality.write(first.examples, folder / model.modality.sheet, first.columns)


def evaluation(recipe: Recipe, model: BaseModel, split: str, verbose: Verbose = "auto") -> Evaluation:
    """The `Evaluation` of a recipe's model on a split of its data set."""
    settings = recipe.evaluation
    images, labels = load_split(recipe, split)
    classes, known = recipe.model.config.get("num_classes"), model.num_classes
    if None not in (classes, known) and classes != known:
        raise DatasetError(f"{recipe.dataset.source} has {classes} classes and the model {known}; expected the same.")
    contents: dict[str, Any] = {"training": lambda: load_split(recipe, recipe.dataset.train_split)[0]}
    if recipe.dataset.patch_size is not None:
        contents["whole"] = lambda: data.load_whole(recipe.dataset.source, split, recipe.dataset.channels)
    columns = recipe.dataset.columns
    if recipe.dataset.domain is not None or recipe.dataset.pairs is not None:
        contents, images, labels = {"given": images}, labels, None
    if labels is not None and model.num_classes is None and labels.ndim == 1:
        contents["anomalous"] = labels != 0
    contents["extractor"] = extractor = None if settings.extractor is None else load_extractor(settings.extractor)
    if extractor is not None and extractor.num_classes is None:
        if recipe.dataset.domain is not None:
            columns = [recipe.dataset.domain]
        elif columns is None and labels is not None and labels.ndim == 2:
            columns = range(labels.shape[1])
    how = {"columns": columns, "settings": settings, "dataset": recipe.dataset.source, "verbose": verbose}
    return Evaluation(model, images, labels, split, **how, **contents)


def evaluate_recipe(
    recipe: Recipe, model: BaseModel, split: str, verbose: Verbose = "auto", metrics: Sequence[str] | None = None
) -> dict[str, Any]:
    """Figures of a recipe's model on a split of its data set, with the hardware that measured them."""
    return evaluate(evaluation(recipe, model, split, verbose), metrics) | {"evaluation": hardware.describe()}
