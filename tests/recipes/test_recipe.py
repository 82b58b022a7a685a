import copy
import os
import tomllib

import pytest

from kerasgen.errors import RecipeError
from kerasgen.recipes import Recipe
from tools.pinning import set_weights

SMALL = {
    "name": "vae-test",
    "description": 'A "test", größer \\ than {none}.',
    "dataset": {"source": "mnist", "train_split": "train", "test_split": "test", "image_size": 28},
    "model": {"class": "VariationalAutoencoder", "config": {"latent_dim": 2, "beta": 1e-05, "shape": [28, 28, 1]}},
    "training": {"epochs": 2, "batch_size": 8, "optimizer": "adam", "learning_rate": 1},
}
DIGEST = "ab" * 32


def changed(path, value):
    """`SMALL` with one entry changed, or left out where `value` is `...`."""
    table = copy.deepcopy(SMALL)
    *sections, key = path.split(".")
    target = table
    for section in sections:
        target = target.setdefault(section, {})
    if value is ...:
        del target[key]
    else:
        target[key] = value
    return table


def test_defaults():
    recipe = Recipe.from_dict(SMALL)
    assert recipe.dataset.image_size == (28, 28)
    assert recipe.dataset.labels is False
    assert recipe.model.class_name == "VariationalAutoencoder"
    assert type(recipe.training.learning_rate) is float
    assert recipe.training.schedule == "constant"
    assert recipe.evaluation.num_importance_samples == 128
    assert recipe.weights.dtype == "float16"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("nonsense", 1, "nonsense is not a known entry"),
        ("training.epoch", 1, "training.epoch is not a known entry; the nearest is training.epochs"),
        ("dataset.image_sise", 1, "nearest is dataset.image_size"),
        ("model.class_name", "x", "nearest is model.class"),
        ("name", ..., "^name is missing"),
        ("training", ..., "^training is missing"),
        ("training.epochs", ..., "^training.epochs is missing"),
        ("model.class", ..., "^model.class is missing"),
        ("training", 3, "training is 3; expected a table"),
        ("name", "../evil", "name"),
        ("description", "two\nlines", "description"),
        ("training.epochs", "3", "training.epochs is '3'; expected an integer"),
        ("training.epochs", True, "training.epochs is True; expected an integer"),
        ("training.epochs", 1.0, "training.epochs"),
        ("training.epochs", 0, "training.epochs is 0; expected at least 1"),
        ("training.learning_rate", "fast", "expected a number"),
        ("training.learning_rate", 0.0, "above 0.0"),
        ("training.learning_rate", float("nan"), "training.learning_rate"),
        ("training.learning_rate", float("inf"), "training.learning_rate"),
        ("training.ema_momentum", 1.0, "below 1.0"),
        ("training.weight_decay", -1.0, "at least 0.0"),
        ("training.seed", 2**63, "at most"),
        ("training.optimizer", "sgd", "one of"),
        ("training.precision", "mixed_float16", "one of"),
        ("dataset.image_size", [28], "dataset.image_size"),
        ("dataset.image_size", [28, 0], "dataset.image_size is 0"),
        ("dataset.image_size", [28, "a"], "dataset.image_size is 'a'"),
        ("dataset.channels", 2, "dataset.channels"),
        ("dataset.labels", 1, "true or false"),
        ("model.config", [1], "a table"),
        ("model.config.beta", float("inf"), "model.config.beta"),
        ("weights.sha256", "abc", "weights.sha256"),
        ("weights.handle", "repo", "weights.handle"),
        ("weights.handle", "user/repo", "weights.revision"),
    ],
)
def test_recipes_that_are_refused(path, value, message):
    with pytest.raises(RecipeError, match=message):
        Recipe.from_dict(changed(path, value))


def test_dates_are_refused(tmp_path):
    text = Recipe.from_dict(SMALL).to_toml()
    (tmp_path / "recipe.toml").write_text(text.replace("[training]", "when = 2020-01-01\n[training]"))
    with pytest.raises(RecipeError, match="nearest"):
        Recipe.load(tmp_path / "recipe.toml")
    (tmp_path / "recipe.toml").write_text(text.replace("latent_dim = 2", "latent_dim = 2020-01-01"))
    with pytest.raises(RecipeError, match=r"recipe.toml: model.config.latent_dim"):
        Recipe.load(tmp_path / "recipe.toml")


def test_a_handle_with_revision_and_sha256():
    weights = {"handle": "user/repo", "revision": "v1", "sha256": DIGEST}
    assert Recipe.from_dict(changed("weights", weights)).weights.handle == "user/repo"


@pytest.mark.parametrize("content", [b"name = ", b"\xff", None], ids=["not TOML", "not UTF-8", "no file"])
def test_files_that_cannot_be_read(tmp_path, content):
    if content is not None:
        (tmp_path / "recipe.toml").write_bytes(content)
    with pytest.raises(RecipeError, match=r"recipe\.toml"):
        Recipe.load(tmp_path / "recipe.toml")


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"a": -1, "b": 1e300, "c": 1e-7, "d": True, "e": "\x7f\t\u2028\U0001f600\"'\\", "f": []},
        {"nested": {"a b": {"": [1, [2.5, "x"], {"k": False}]}, "é.x": {}}},
    ],
)
def test_toml_round_trip(tmp_path, config):
    recipe = Recipe.from_dict(changed("model.config", config))
    (tmp_path / "recipe.toml").write_text(recipe.to_toml(), encoding="utf-8")
    assert Recipe.load(tmp_path / "recipe.toml") == recipe
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    assert recipe.model.config == config


def test_override():
    recipe = Recipe.from_dict(SMALL)
    assignments = ["training.epochs=3", "dataset.source=my folder", "dataset.image_size=[8, 4]", "dataset.flip=true"]
    new = recipe.override([*assignments, "model.config.width=8", "weights.dtype=float32", 'description="a = b"'])
    assert (new.training.epochs, new.dataset.source, new.dataset.image_size) == (3, "my folder", (8, 4))
    assert (new.dataset.flip, new.model.config["width"], new.weights.dtype) == (True, 8, "float32")
    assert new.description == "a = b"
    assert recipe == Recipe.from_dict(SMALL)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("training.epochs", "not an assignment"),
        ("=3", "not an assignment"),
        ("training..epochs=3", "not an assignment"),
        ("training.epochs=0", "at least 1"),
        ("training.epoch=3", "nearest is training.epochs"),
        ("name.x=3", "name is not a table"),
        ("training.epochs=1\nbatch_size=2", "training.epochs"),
    ],
)
def test_overrides_that_are_refused(assignment, message):
    with pytest.raises(RecipeError, match=message):
        Recipe.from_dict(SMALL).override([assignment])


def test_digest_is_of_what_training_depends_on():
    recipe = Recipe.from_dict(SMALL)
    assert recipe.digest == Recipe.from_dict(recipe.to_dict()).digest
    for same in ("dataset.title=x", "description=y", "evaluation.seed=3", f"weights.sha256={DIGEST}", "name=z"):
        assert recipe.override([same]).digest == recipe.digest
    for other in ("training.epochs=5", "model.config.latent_dim=3", "dataset.train_split=x", "training.seed=1"):
        assert recipe.override([other]).digest != recipe.digest


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f'[weights]  # w\nsha256 = "{"0" * 64}"  # kept\n', f'[weights]  # w\nsha256 = "{DIGEST}"  # kept\n'),
        ('# c\n[weights]\ndtype = "float32"\n', f'# c\n[weights]\nsha256 = "{DIGEST}"\ndtype = "float32"\n'),
        ("[evaluation]\nseed = 1\n", f'[evaluation]\nseed = 1\n\n[weights]\nsha256 = "{DIGEST}"\n'),
        ("[weights]\n[evaluation]\n", f'[weights]\nsha256 = "{DIGEST}"\n[evaluation]\n'),
    ],
)
def test_set_weights(tmp_path, before, after):
    path = tmp_path / "recipe.toml"
    tables = Recipe.from_dict(SMALL).to_dict()
    head = "# first\n" + Recipe.from_dict(SMALL).to_toml().split("\n[evaluation]")[0]
    assert set(tables) >= set(tomllib.loads(head))
    path.write_text(head + before)
    set_weights(path, sha256=DIGEST)
    assert path.read_text() == head + after
    assert Recipe.load(path).weights.sha256 == DIGEST
    assert os.listdir(tmp_path) == ["recipe.toml"]
    with pytest.raises(RecipeError, match="sha256"):
        set_weights(path, sha256="abc")
