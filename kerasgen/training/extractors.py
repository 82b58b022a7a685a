"""The network that a recipe or a user names to measure with."""

from kerasgen.checkpoints import WEIGHTS, sha256
from kerasgen.classifiers.extractor import ClassifierExtractor
from kerasgen.hub.registry import checkpoint_folder, load
from kerasgen.metrics.extractors import INCEPTION, Extractor, InceptionExtractor
from kerasgen.recipes import Recipe
from kerasgen.training.optimizers import optimizer
from kerasgen.typing import Any


def load_extractor(name: Any) -> Extractor:
    """The extractor of that name: "inception-2015", or whatever `kerasgen.load` takes that is a classifier."""
    if name == INCEPTION:
        return InceptionExtractor()
    folder = checkpoint_folder(name)
    recipe = Recipe.load(folder / "recipe.toml") if (folder / "recipe.toml").is_file() else None
    digest = sha256(folder / WEIGHTS)
    if recipe is None:
        return ClassifierExtractor(load(name), folder.name, digest)
    return ClassifierExtractor(load(name), recipe.name, digest, recipe.training, optimizer)
