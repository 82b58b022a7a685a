"""recipe-large.toml: what a better machine would train, on the same data, as far as a CPU gets in ten steps."""

import keras
import numpy as np
import pytest

from kerasgen.hub.registry import entries
from kerasgen.recipes import Recipe
from kerasgen.training.optimizers import optimizer_of
from kerasgen.training.run import build, losses_of

RECIPES = {name: entry.folder / "recipe-large.toml" for name, entry in entries().items()}
RECIPES = {name: path for name, path in RECIPES.items() if path.exists()}
BATCH = 2


def test_it_is_of_the_same_entry():
    assert RECIPES
    for name, path in RECIPES.items():
        large, recipe = Recipe.load(path), entries()[name].recipe
        assert (large.name, large.dataset, large.model.class_name) == (name, recipe.dataset, recipe.model.class_name)
        assert large.evaluation == recipe.evaluation
        assert large.model.config != recipe.model.config


def known(name):
    """Whether the autoencoder that it takes, if any, is bundled."""
    autoencoder = Recipe.load(RECIPES[name]).model.config.get("autoencoder")
    return autoencoder is None or entries()[autoencoder].bundled


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in RECIPES if known(name)])
def test_ten_steps(name):
    recipe = Recipe.load(RECIPES[name]).override(["training.warmup_steps=0"])  # which would leave next to no step
    model = build(recipe)
    model.compile(optimizer_of(model, recipe.training, 1000), **losses_of(model, recipe.training))
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (10 * BATCH, *model.source_shape), dtype=np.uint8)
    y = None
    if model.target_shape is not None:
        y = rng.integers(0, 256, (len(x), *model.target_shape), dtype=np.uint8)
    elif model.attributes:
        y = rng.integers(0, 2, (len(x), len(model.attributes)))
    elif model.num_classes is not None:
        y = rng.integers(0, model.num_classes, len(x))
    before = [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]
    history = model.fit(x, y, batch_size=BATCH, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    moved = [not np.array_equal(a, b) for a, b in zip(before, model.trainable_variables, strict=True)]
    assert np.mean(moved) > 0.9
