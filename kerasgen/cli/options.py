"""Arguments and output that several subcommands share."""

import argparse
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

import numpy as np

from kerasgen import data
from kerasgen.errors import InputError
from kerasgen.hub.registry import find_recipe, zoo_folder
from kerasgen.recipes import Recipe
from kerasgen.training.datasets import on_dataset
from kerasgen.typing import Any

LABELS = "classes, for example 3 or 0,1,2, taken in turn; of attributes, Smiling=1,Eyeglasses=0"


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value


def labels(text: str) -> list[int] | dict[str, int]:
    if "=" not in text:
        return [int(part) for part in text.split(",")]
    parts = [part.partition("=") for part in text.split(",")]
    return {name.strip(): int(value) for name, _, value in parts}


def labels_of(given: list[int] | dict[str, int] | None, num: int) -> Any:
    """`num` labels as a model takes them: classes in turn, or what is asked of attributes."""
    return np.resize(given, num) if isinstance(given, list) else given


def names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def add_model(parser: ArgumentParser) -> None:
    about = "a zoo name (see kerasgen list), a checkpoint folder, or user/repo[@revision] on the Hugging Face Hub"
    parser.add_argument("model", metavar="MODEL", help=about)


def add_output(parser: ArgumentParser, default: str | None) -> None:
    """Without a default it is `samples` in the first form that the model writes."""
    shown = default or "samples.png, .csv or .txt"
    about = "a grid (.png), an array (.npy) or a folder of PNG files; .csv for vectors, .txt for texts, .gif for videos"
    parser.add_argument("--output", type=Path, default=default and Path(default), help=f"{about} (default: {shown})")


def add_sampling(parser: ArgumentParser) -> None:
    about = "the same seed gives the same images (default: %(default)s)"
    parser.add_argument("--seed", type=int, default=0, help=about)
    parser.add_argument("--temperature", type=float, default=1.0, help="spread of the latents (default: %(default)s)")
    add_sampler(parser)


def add_sampler(parser: ArgumentParser) -> None:
    parser.add_argument("--sampler", help="of diffusion and flow-matching models: ddpm, ddim, dpm++, unipc, ...")
    parser.add_argument("--steps", type=positive, help="of the sampler")
    parser.add_argument("--guidance", type=float, help="weight of the labels; 1 is none")


def add_truncation_of_tokens(parser: ArgumentParser) -> None:
    parser.add_argument("--top_k", type=positive, help="of texts: draw from so many of the likeliest tokens")
    about = "of texts: draw from the fewest of the likeliest tokens that have this probability together"
    parser.add_argument("--top_p", type=float, help=about)


def add_texts(parser: ArgumentParser) -> None:
    """Of commands that print texts."""
    parser.add_argument("--num_samples", type=positive, default=1, help="how many (default: %(default)s)")
    parser.add_argument("--labels", type=labels, help=LABELS)
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same texts (default: %(default)s)")
    parser.add_argument("--temperature", type=float, default=1.0, help="divides the logits (default: %(default)s)")
    parser.add_argument("--steps", type=positive, help="of masked diffusion; a token each by default")
    parser.add_argument("--guidance", type=float, help="weight of the labels; 1 is none")
    add_truncation_of_tokens(parser)


def print_texts(texts: list[str]) -> None:
    """A line each; those of several lines apart."""
    print(("\n" + "-" * 20 + "\n" if any("\n" in text for text in texts) else "\n").join(texts))


def given(args: Namespace, *names: str) -> dict[str, Any]:
    """Those of these arguments that were given."""
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def read_recipe(handle: str, dataset: str | None, overrides: list[str]) -> Recipe:
    """The recipe that a zoo name, a recipe.toml or a folder with one means, with another data set or other entries.

    Raises `InputError`: no data set is given, and the recipe is neither of the zoo nor named itself: what somebody else
    wrote there is not read.
    """
    path = find_recipe(handle)
    recipe = Recipe.load(path)
    if not dataset:
        if path.parent.parent.resolve() != zoo_folder().resolve() and not handle.endswith(".toml"):
            named = f"the recipe of {handle} names the data set {recipe.dataset.source!r}"
            raise InputError(f"{named}, which is not read unasked; give that one or another with --dataset.")
        return recipe.override(overrides)
    recipe = on_dataset(recipe, dataset).override(overrides)
    if data.recipe_splits(dataset):
        splits, classes = recipe.dataset, recipe.model.config.get("num_classes")
        validation = f"{splits.validation_split} to validate on, " if splits.validation_split else ""
        read = f"{splits.train_split} to train on, {validation}{recipe.evaluation.split} to measure on"
        print(f"{dataset}: {read}" + (f", {classes} classes" if classes else ""), file=sys.stderr)
    return recipe


def print_table(rows: list[dict[str, Any]]) -> None:
    columns = list(rows[0])
    table = [columns] + [["-" if row[c] is None else str(row[c]) for c in columns] for row in rows]
    widths = [max(len(line[i]) for line in table) for i in range(len(columns))]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def interval(figure: dict[str, Any]) -> str:
    """A figure with its standard error."""
    error = figure.get("standard_error")
    return f"{figure['value']:.5g}" + (f" ± {error:.2g}" if error is not None else "")
