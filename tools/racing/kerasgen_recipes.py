"""kerasgen's contestants: recipes of the zoo, trained as `kerasgen train` does, with epochs that fit the time.

Which recipe was chosen before any race, by what it is for:

- diffusion: ddpm-fashion-mnist. Of the two of Fashion-MNIST it is the one that does what the peer does: a DDPM with a
  U-Net, where flow-matching-fashion-mnist has another process and a transformer.
- glow: glow-cifar10, which is glow-celeba without its finest level, and with classes, as the peer's example has.
- vae: vae-mnist, the only one.
- gan: wgan-gp-fashion-mnist. Of the two of Fashion-MNIST its own budget (0.83 h of a core, batches of 32) is nearer to
  that of a race, and its published distance is the lower one.

Both contestants read the same: labels where the peer's example takes labels (Glow), else images alone. So the two
recipes of Fashion-MNIST lose classes, and guidance, which needs them; all else is as they stand.

`mixed_bfloat16` of a recipe holds where the processor computes in bfloat16, else training is in float32.
"""

import dataclasses

import keras
import numpy as np
from keras import ops

from kerasgen import data
from kerasgen.base import rows
from kerasgen.hub.registry import find
from kerasgen.recipes import Recipe
from kerasgen.training.callbacks import StopAtNonFiniteLoss
from kerasgen.training.datasets import load_split
from kerasgen.training.optimizers import optimizer_of
from kerasgen.training.run import build

from .contest import LEAST_STEPS, Data, Trained
from .pace import Pace

RECIPES = {
    "diffusion": "ddpm-fashion-mnist",
    "glow": "glow-cifar10",
    "vae": "vae-mnist",
    "gan": "wgan-gp-fashion-mnist",
}
CONDITIONAL = ("glow",)
BATCH = 250


def recipe_of(race, seed, bfloat16):
    """The recipe of a race."""
    table = find(RECIPES[race]).recipe.to_dict()
    config, evaluation = table["model"]["config"], table["evaluation"]
    if race not in CONDITIONAL:
        table["dataset"]["labels"] = False
        for name in ("num_classes", "label_dropout"):
            config.pop(name, None)
        evaluation.get("sampling", {}).pop("guidance", None)
    config["seed"] = table["training"]["seed"] = seed
    if not bfloat16:
        table["training"]["precision"] = "float32"
    return Recipe.from_dict(table)


def read(race):
    """The `Data` of a race, labels and all."""
    dataset = dataclasses.replace(find(RECIPES[race]).recipe.dataset, labels=True)
    recipe = dataclasses.replace(find(RECIPES[race]).recipe, dataset=dataset)
    splits = (dataset.train_split, dataset.validation_split, dataset.test_split)
    (images, labels), (validation, _), (test, test_labels) = (load_split(recipe, split) for split in splits)
    return Data(images, labels, validation, test, test_labels)


def train(race, given, clock, seed, bfloat16):
    """A `Trained` of the recipe of a race.

    For at most a minute a first model is trained to measure the pace; it is thrown away, and one is trained anew whose
    schedule has as many steps as the time that is left has room for. All of it is on the clock.
    """
    recipe = recipe_of(race, seed, bfloat16)
    training = recipe.training

    def fit(model, num_steps, pace):
        model.compile(optimizer_of(model, training, num_steps))
        source = given.images if model.num_classes is None else (given.images, given.labels)
        drawn = {"shuffle": True, "seed": seed, "flip": recipe.dataset.flip, "drop_remainder": True, "repeat": True}
        dataset = data.load(source, batch_size=training.batch_size, **drawn)
        callbacks = [StopAtNonFiniteLoss(), pace]
        model.fit(dataset, epochs=1, steps_per_epoch=num_steps, callbacks=callbacks, verbose=0)

    keras.utils.set_random_seed(seed)
    model = build(recipe, training.precision)
    clock.start()
    pace = Pace(clock, clock.measuring, LEAST_STEPS)
    fit(model, 10**6, pace)
    left = clock.limit - clock.elapsed - pace.marks[0][1]  # it compiles again
    num_steps = max(1, int(left / pace.seconds_a_step))
    keras.utils.set_random_seed(seed)
    model = build(recipe, training.precision)
    run = Pace(clock, clock.limit)
    fit(model, num_steps, run)
    clock.steps, clock.seconds = run.marks[-1]

    parameters = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    shipped = build(recipe)  # it computes in float32, as what `kerasgen train` leaves
    shipped.set_weights(model.get_weights())
    facts = {"recipe": recipe.name, "steps measured": pace.marks[-1][0], "steps of the schedule": num_steps}
    facts |= {"model": recipe.model.config, "training": recipe.to_dict()["training"]}
    facts |= {"sampling": recipe.evaluation.drawing, "backend": keras.backend.backend()}
    del facts["training"]["epochs"]
    return Trained(clock.steps, training.batch_size, parameters, facts, **uses(race, shipped, recipe, given))


def uses(race, model, recipe, given):
    """What a race asks of its model, by the names of `Trained`."""

    def sample(num, seed):
        labels = None if model.num_classes is None else model.labels_to_compare(given.test_labels, num)
        settings = {"seed": seed, "batch_size": BATCH, "verbose": 0}
        return model.modality.to_storage(model.sample(num, labels=labels, **settings, **recipe.evaluation.drawing))

    def density(x, labels):
        z, log_det = model.flow.forward_and_log_det(x, model.one_hot(labels))
        return log_det - 0.5 * ops.sum(ops.square(z) + np.log(2.0 * np.pi).astype(np.float32), axis=-1)

    def posterior(x):
        return ops.concatenate(model.posterior(x, None), axis=-1)

    def logits(z):
        return model.decoder_outputs(z, None)

    def run(function, *arrays):
        return model.run(function, len(arrays[0]), rows(*arrays), BATCH, 0)

    if race == "glow":
        return {"sample": sample, "log_density": lambda x, labels: run(density, x, labels)}
    if race == "vae":
        both = {"posterior": lambda x: np.split(run(posterior, x), 2, axis=-1), "logits": lambda z: run(logits, z)}
        return {"sample": sample, **both}
    return {"sample": sample}
