"""The data set of a recipe: its splits, and the same recipe on another data set."""

import inspect

from kerasgen import data
from kerasgen.base import FAMILIES, BaseModel
from kerasgen.data.sounds import fits_pattern, sound_attribute_names, sound_class_names, sound_splits
from kerasgen.errors import RecipeError
from kerasgen.modalities import Sounds, sounds_of, tokens_of
from kerasgen.recipes import Recipe
from kerasgen.typing import Any, Array


def sounds_in(recipe: Recipe) -> Sounds | None:
    """What the model of a recipe hears its files as; `None`: they are no sounds."""
    shape = recipe.model.config.get("shape")
    return sounds_of(shape) if isinstance(shape, dict) else None


def source_of(recipe: Recipe, split: str) -> dict[str, Any]:
    """Arguments of `data.load` and its kin for a split of the recipe's data set."""
    dataset = recipe.dataset
    if dataset.texts is not None:
        config = recipe.model.config
        form = {"texts": dataset.texts, "column": dataset.column}
        tokens = tokens_of(config["shape"], config["vocabulary"])
        return {"source": dataset.source, "split": split, "tokens": tokens, **form}
    if (sounds := sounds_in(recipe)) is not None:
        form = {"sounds": sounds, "pattern": dataset.pattern, "labels": _labels(dataset)}
        return {"source": dataset.source, "split": split, **form}
    if dataset.moving is not None:
        if dataset.image_size is None or len(set(dataset.image_size)) > 1:
            raise RecipeError(f"dataset.image_size is {dataset.image_size}; with dataset.moving it is one number.")
        form = {"side": dataset.image_size[0], "frames": dataset.moving, "labels": dataset.labels}
        return {"source": dataset.source, "split": split, **form}
    form = {"image_size": dataset.image_size, "channels": dataset.channels}
    columns = {} if dataset.columns is None else {"columns": dataset.columns}
    if dataset.pairs is not None:
        return {"source": dataset.source, "split": split, "pairs": dataset.pairs, **form}
    patches = {} if dataset.patch_size is None else {"patch_size": dataset.patch_size, "patches": dataset.patches}
    return {"source": dataset.source, "split": split, "labels": _labels(dataset), **columns, **patches, **form}


def _labels(dataset):
    """The argument `labels` of `data.load`."""
    return dataset.labels if isinstance(dataset.labels, str) else None if dataset.labels else False


def load_split(recipe: Recipe, split: str) -> tuple[Array, Array | None]:
    """Images and labels (or `None`) of a split of the recipe's data set, as NumPy arrays.

    With `dataset.domain`, images of both kinds; with `dataset.pairs`, what is given and the images it is made of.
    """
    if recipe.dataset.texts is not None:
        # Windows to measure on do not overlap; those to look for copies in have all runs of up to half a window.
        stride = recipe.model.config["shape"][0] // 2 if split == recipe.dataset.train_split else None
        return data.load_text_arrays(**source_of(recipe, split), stride=stride or None), None
    if recipe.dataset.pairs is not None:
        return data.load_pair_arrays(**source_of(recipe, split))
    if recipe.dataset.domain is not None:
        return data.load_domain_arrays(**source_of(recipe, split), domain=recipe.dataset.domain)
    if recipe.dataset.moving is not None:
        return data.load_moving_arrays(**source_of(recipe, split))
    if sounds_in(recipe) is not None:
        return data.load_sound_arrays(**source_of(recipe, split))
    return data.load_arrays(**source_of(recipe, split))


def on_dataset(recipe: Recipe, source: str) -> Recipe:
    """The recipe on another data set, whose images are brought to the shape of the model.

    A folder of images gives its splits (`data.recipe_splits`) and its classes: a model with classes gets as many, or
    none where the folder has none. So do folders of sounds, unless their names fit the recipe's pattern, which then
    tells splits and classes.

    Raises:
        DatasetError: the folder has no images or sounds, or it cannot be told what is a split and what a class.
        RecipeError: the model needs classes, or two of them, and the folder has not.
    """
    table = recipe.to_dict()
    dataset, config = table["dataset"], table["model"]["config"]
    told = ("title", "url", "license", "terms")  # of the recipe's own data set, like its description
    dataset = table["dataset"] = {key: value for key, value in dataset.items() if key not in told} | {"source": source}
    table["description"] = f"The recipe of {recipe.name} on other data."
    table["weights"] = {"dtype": recipe.weights.dtype}
    if recipe.dataset.moving == 1:
        dataset.pop("moving")  # frames of videos: other images stand in their place
    if recipe.dataset.texts in ("whole", "lines"):
        if not source.endswith(".csv"):
            dataset.pop("column", None)
        config["vocabulary"], longest = data.characters(source, recipe.dataset.texts, dataset.get("column"))
        config["shape"] = [longest + 1] if recipe.dataset.texts == "lines" else config["shape"]
    shape = config.get("shape")
    if isinstance(shape, dict):
        if not (pattern := dataset.get("pattern")) or not fits_pattern(source, pattern):
            dataset.pop("pattern", None)
            _take_splits(table, sound_splits(source))
        if dataset.get("labels") == "attributes" and "pattern" in dataset:
            names = sound_attribute_names(source, dataset["pattern"])
            config |= {"num_classes": len(names)} if "num_classes" in config else {"attributes": names}
        elif config.keys() & {"num_classes", "attributes"}:
            classes = sound_class_names(source, dataset.get("pattern"))
            _take_classes(recipe.model.class_name, dataset, config, classes)
        return Recipe.from_dict(table)
    if isinstance(shape, list) and len(shape) == 3 and shape[-1] in (1, 3):
        size = {} if "patch_size" in dataset else {"image_size": shape[:2]}
        dataset |= {"channels": shape[-1], **size}
    if splits := data.recipe_splits(source):
        _take_splits(table, splits)
        if "domain" in dataset or config.keys() & {"num_classes", "attributes"}:
            classes = data.class_names(source, dataset["train_split"])
            _take_classes(recipe.model.class_name, dataset, config, classes)
    return Recipe.from_dict(table)


def _take_splits(table, splits):
    """Puts the splits of a folder in the place of the recipe's."""
    names = {f"{name}_split": split for name, split in splits.items()}
    table["dataset"] |= {name: split for name, split in names.items() if name in table["dataset"]}
    table["evaluation"]["split"] = splits["test"]


def _take_classes(family, dataset, config, classes):
    """Puts the classes of a folder, or `None`, in the place of the recipe's."""
    source, domain = dataset["source"], "domain" in dataset
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
