"""What a recipe.toml may say."""

from kerasgen.recipes.recipe import Evaluation, Recipe, Training

__all__ = ["Evaluation", "Recipe", "Training"]
