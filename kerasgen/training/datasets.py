"""The data set of a recipe: its splits, and the same recipe on another data set."""

import inspect

from kerasgen import data
from kerasgen.base import FAMILIES, BaseModel
from kerasgen.errors import RecipeError
from kerasgen.recipes import Recipe
from kerasgen.typing import Any, Array


def source_of(recipe: Recipe, split: str) -> dict[str, Any]:
    """Arguments of `data.load` and its kin for a split of the recipe's data set."""
    dataset = recipe.dataset
    form = {"image_size": dataset.image_size, "channels": dataset.channels}
    labels = dataset.labels if isinstance(dataset.labels, str) else None if dataset.labels else False
    columns = {} if dataset.columns is None else {"columns": dataset.columns}
    if dataset.pairs is not None:
        return {"source": dataset.source, "split": split, "pairs": dataset.pairs, **form}
    return {"source": dataset.source, "split": split, "labels": labels, **columns, **form}


def load_split(recipe: Recipe, split: str) -> tuple[Array, Array | None]:
    """Images and labels (or `None`) of a split of the recipe's data set, as NumPy arrays.

    With `dataset.domain`, images of both kinds; with `dataset.pairs`, what is given and the images it is made of.
    """
    if recipe.dataset.pairs is not None:
        return data.load_pair_arrays(**source_of(recipe, split))
    if recipe.dataset.domain is not None:
        return data.load_domain_arrays(**source_of(recipe, split), domain=recipe.dataset.domain)
    return data.load_arrays(**source_of(recipe, split))


def on_dataset(recipe: Recipe, source: str) -> Recipe:
    """The recipe on another data set, whose images are brought to the shape of the model.

    A folder of images gives its splits (`data.recipe_splits`) and its classes: a model with classes gets as many, or
    none where the folder has none.

    Raises:
        DatasetError: the folder has no images, or it cannot be told what is a split and what a class.
        RecipeError: the model needs classes, or two of them, and the folder has not.
    """
    table = recipe.to_dict()
    dataset, config = table["dataset"], table["model"]["config"]
    told = ("title", "url", "license", "terms")  # of the recipe's own data set, like its description
    dataset = table["dataset"] = {key: value for key, value in dataset.items() if key not in told} | {"source": source}
    table["description"] = f"The recipe of {recipe.name} on other data."
    table["weights"] = {"dtype": recipe.weights.dtype}
    shape = config.get("shape")
    if isinstance(shape, list) and len(shape) == 3 and shape[-1] in (1, 3):
        dataset |= {"image_size": shape[:2], "channels": shape[-1]}
    if splits := data.recipe_splits(source):
        dataset |= {f"{name}_split": split for name, split in splits.items() if f"{name}_split" in dataset}
        table["evaluation"]["split"] = splits["test"]
        if "domain" in dataset or config.keys() & {"num_classes", "attributes"}:
            _take_classes(recipe.model.class_name, dataset, config)
    return Recipe.from_dict(table)


def _take_classes(family, dataset, config):
    """Puts the classes of a folder of images in the place of the recipe's."""
    source, domain = dataset["source"], "domain" in dataset
    classes = data.class_names(source, dataset["train_split"])
    argument = inspect.signature(FAMILIES.get(family, BaseModel)).parameters.get("num_classes")
    needs = 2 if domain else 1 if argument is not None and argument.default is not None else 0
    if len(classes or ()) < needs or (domain and len(classes) > 2):
        expected = "two classes" if domain else "classes"
        raise RecipeError(f"{source} has the classes {classes or 'none'}; a {family} needs {expected}: sub-folders.")
    dataset["labels"] = classes is not None
    if domain:
        dataset["domain"] = 1
    else:
        config.pop("attributes", None)  # a folder has classes, which exclude each other
        dataset.pop("columns", None)
        config.pop("num_classes", None)
        config |= {} if classes is None else {"num_classes": len(classes)}
