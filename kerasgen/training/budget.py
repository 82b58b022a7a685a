"""`--budget`: how many steps of a recipe a machine takes in a given time, and the recipe that takes as many."""

import dataclasses
import re
import time
from pathlib import Path

from kerasgen.errors import RecipeError
from kerasgen.recipes import Recipe
from kerasgen.training.run import compiled, num_batches, training_set
from kerasgen.typing import Any, Callable

SHARE = 0.9  # of the budget, for steps; the rest is for validation and pictures
MEASURED = 0.05  # of the budget, for the measurement
LEAST = 20  # steps that are worth a run
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def seconds_of(text: str) -> float:
    """Seconds of "90s", "25m" or "1.5h". Raises `RecipeError`."""
    if not (found := re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())) or not float(found[1]):
        raise RecipeError(f"the budget is {text!r}; expected a time such as 90s, 25m or 1.5h.")
    return float(found[1]) * UNITS[found[2]]


def pace(recipe: Recipe, seconds: float) -> float:
    """Seconds a training step takes on this machine, measured for so long, after the first steps, which compile."""
    model, dataset = compiled(recipe, recipe.training.epochs * num_batches(recipe)), training_set(recipe)
    model.fit(dataset, steps_per_epoch=2, verbose=0)
    num, spent = 1, 0.0
    while spent < seconds / 2:  # twice as many steps each time
        num, start = 2 * num, time.monotonic()
        model.fit(dataset, steps_per_epoch=num, verbose=0)
        spent = time.monotonic() - start
    return spent / num


def within(recipe: Recipe, budget: str, workdir: str | Path, tell: Callable[[str], None]) -> Recipe:
    """The recipe with as many epochs, or as many steps of one, as fit a budget; a run that goes on keeps what it chose.

    Raises `RecipeError`: the budget is ill-formed, or too short for 20 steps.
    """
    seconds, path = seconds_of(budget), Path(workdir) / "recipe.toml"
    if path.exists():
        kept = Recipe.load(path)
        names = ("epochs", "steps_per_epoch", "warmup_steps")
        same: dict[str, Any] = {name: getattr(kept.training, name) for name in names}
        if dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, **same)).digest == kept.digest:
            tell(f"The run in {workdir} goes on with the {kept.training.epochs} epochs that it was begun with.")
            return kept
    step = pace(recipe, min(60.0, MEASURED * seconds))
    total, whole = int(SHARE * seconds / step), num_batches(recipe)
    if total < LEAST:
        told = f"a step takes {step:.2f} s here, so that {budget} are {total} steps"
        raise RecipeError(f"{told}; expected {LEAST} or more: a budget of {LEAST * step / SHARE:.0f}s.")
    training = recipe.training
    epochs, steps = (1, total) if total < whole else (min(total // whole, training.epochs), None)
    warmup = min(training.warmup_steps, total // 10)
    tell(
        f"A step takes {step:.3g} s here: {budget} are {epochs} epoch{'s' * (epochs > 1)} of {steps or whole} steps, "
        f"where the recipe has {training.epochs} of {whole}."
    )
    changed: dict[str, Any] = {"epochs": epochs, "steps_per_epoch": steps, "warmup_steps": warmup}
    return dataclasses.replace(recipe, training=dataclasses.replace(training, **changed))
