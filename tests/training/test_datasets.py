"""Every recipe of the zoo on a folder of photographs: its splits, its classes, its first batch."""

import numpy as np
import pytest
from PIL import Image

from kerasgen.base import FAMILIES
from kerasgen.errors import DatasetError, RecipeError
from kerasgen.hub.registry import entries
from kerasgen.recipes import Recipe
from kerasgen.training.datasets import load_split, on_dataset, sounds_in

RECIPES = entries()
CLASSIFIERS = [name for name, entry in RECIPES.items() if entry.recipe.model.class_name == "Classifier"]
PAIRED = [name for name, entry in RECIPES.items() if entry.recipe.dataset.pairs is not None]
TRANSLATORS = [name for name, entry in RECIPES.items() if entry.recipe.dataset.domain is not None]


PATCHES = [name for name, entry in RECIPES.items() if entry.recipe.dataset.patch_size is not None]
TEXTS = [name for name, entry in RECIPES.items() if entry.recipe.dataset.texts in ("whole", "lines")]
SOUNDS = [name for name, entry in RECIPES.items() if isinstance(entry.recipe.model.config.get("shape"), dict)]
VIDEOS = [name for name, entry in RECIPES.items() if (entry.recipe.dataset.moving or 1) > 1]
OF_IMAGES = [
    name
    for name, entry in RECIPES.items()
    if not entry.recipe.dataset.source.endswith(".csv")
    and entry.recipe.dataset.texts is None
    and name not in (*SOUNDS, *VIDEOS)
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The same 20 photographs of mixed sizes in one folder, and in two and three classes."""
    root = tmp_path_factory.mktemp("folders")
    rng = np.random.default_rng(0)
    for index in range(20):
        image = Image.fromarray(rng.integers(0, 256, (20 + index, 50 - index, 3), dtype=np.uint8))
        for place in ("plain", f"two/{'ab'[index % 2]}", f"three/{'abc'[index % 3]}"):
            (root / place).mkdir(parents=True, exist_ok=True)
            image.save(root / place / f"{index:02d}.{'jpg' if index % 2 else 'png'}")
    return root


@pytest.mark.parametrize("name", OF_IMAGES)
def test_every_recipe_of_the_zoo(name, folders):
    """Gives images of the model's shape, 18 to train on and 2 to measure on, with labels that the model takes."""
    recipe = RECIPES[name].recipe
    for kind, num_classes in (("plain", None), ("two", 2), ("three", 3)):
        source = str(folders / kind)
        if (kind == "plain" and name in CLASSIFIERS) or (kind != "two" and name in TRANSLATORS):
            with pytest.raises(RecipeError, match=f"has the classes .*; a {recipe.model.class_name} needs"):
                on_dataset(recipe, source)
            continue
        found = on_dataset(recipe, source)
        found.to_toml()
        if name in PATCHES:
            assert found.dataset.image_size is None  # patches are of whole images
            with pytest.raises(DatasetError, match="patches are 64 x 64"):
                load_split(found, found.dataset.train_split)
            continue
        images, labels = load_split(found, found.dataset.train_split)
        held_out, _ = load_split(found, found.evaluation.split)
        assert found.dataset.validation_split in (None, found.evaluation.split)
        if name in TRANSLATORS:
            assert len(images) + len(labels) == 18
            assert labels.shape[1:] == images.shape[1:]
            continue
        assert (len(images), len(held_out)) == (18, 2)
        if name in PAIRED:
            assert images.shape[:3] == labels.shape[:3]
            assert list(labels.shape[1:]) == found.model.config["shape"]
            continue
        assert list(images.shape[1:]) == found.model.config["shape"]
        if recipe.model.config.keys() & {"num_classes", "attributes"}:
            assert found.model.config.get("num_classes") == num_classes
            assert (labels is None) == (num_classes is None)
            assert labels is None or set(labels) == set(range(num_classes))
        else:
            assert labels is None
        assert "attributes" not in found.model.config
        assert found.model.class_name in FAMILIES


@pytest.mark.parametrize("name", TEXTS)
def test_recipes_of_texts(name, tmp_path):
    """On another file they take its characters, and of lines as many as the longest has, and an end."""
    path = tmp_path / "texts.txt"
    path.write_text("one, två\nthree!\n" * 600)
    found = on_dataset(RECIPES[name].recipe, str(path))
    config = found.model.config
    assert "å" in config["vocabulary"]
    assert ("" in config["vocabulary"]) == (found.dataset.texts == "lines")
    assert found.dataset.texts != "lines" or config["shape"] == [9]
    x, labels = load_split(found, found.dataset.validation_split)
    assert labels is None
    assert x.shape[1:] == tuple(config["shape"])


@pytest.mark.parametrize("name", SOUNDS)
def test_recipes_of_sounds(name, tmp_path):
    """On files named as theirs they keep their splits and classes; on others they take those of sub-folders."""
    pytest.importorskip("soxr")
    recipe = RECIPES[name].recipe
    modality = sounds_in(recipe)
    x = np.zeros((1, *modality.shape), np.uint8)
    for index in range(40):
        digit = index % 4
        for path in (f"named/{digit}_anna_{index}.wav", f"own/{'abc'[index % 3]}/{index}.wav"):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            modality.write(x, tmp_path / path)
    named = on_dataset(recipe, str(tmp_path / "named"))
    assert (named.dataset.pattern, named.dataset.train_split) == (recipe.dataset.pattern, recipe.dataset.train_split)
    assert named.evaluation == recipe.evaluation
    held_out, labels = load_split(named, "test")
    assert held_out.shape == (5, *modality.shape)
    if recipe.dataset.labels == "attributes":
        config = named.model.config
        assert config["num_classes"] == 5 if "num_classes" in config else config["attributes"] == [*"0123", "anna"]
        assert np.argmax(labels, axis=1).tolist() == [0, 0, 1, 2, 3] and labels[:, 4].all()
    else:
        assert labels is None if not recipe.dataset.labels else labels.tolist() == [0, 0, 1, 2, 3]
    own = on_dataset(recipe, str(tmp_path / "own"))
    assert own.dataset.pattern is None
    assert (own.dataset.train_split, own.evaluation.split) == ("train[:90%]", "train[90%:]")
    x, labels = load_split(own, own.dataset.train_split)
    assert x.shape[1:] == modality.shape
    if recipe.dataset.labels:
        assert own.model.config.get("num_classes") == 3
        assert set(labels) == {0, 1, 2}


def test_own_splits(folders, tmp_path):
    for split in ("Training", "Testing"):
        (tmp_path / split).symlink_to(folders / "three")
    found = on_dataset(RECIPES["vae-fashion-mnist"].recipe, str(tmp_path)).dataset
    assert (found.train_split, found.validation_split, found.test_split) == ("train", "test", "test")
    (tmp_path / "TRAIN").symlink_to(folders / "plain")
    with pytest.raises(DatasetError, match="either of which may be the train split"):
        on_dataset(RECIPES["vae-fashion-mnist"].recipe, str(tmp_path))


def test_other_data_sets_keep_the_recipes_splits():
    recipe = RECIPES["vae-mnist"].recipe
    found = on_dataset(recipe, "fashion_mnist")
    assert found.dataset.source == "fashion_mnist"
    assert found.dataset.train_split == recipe.dataset.train_split
    assert (found.dataset.title, found.dataset.url, found.weights.sha256) == (None, None, None)
    assert Recipe.from_dict(found.to_dict()) == found
