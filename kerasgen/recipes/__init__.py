"""What a recipe.toml may say."""

from kerasgen.recipes.recipe import Dataset, Evaluation, Model, Recipe, Training, Weights, set_weights

__all__ = ["Dataset", "Evaluation", "Model", "Recipe", "Training", "Weights", "set_weights"]
