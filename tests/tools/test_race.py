"""tools/race.py: both contestants are measured as the library measures its own models, and told the same time."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kerasgen
from kerasgen.hub.registry import find
from tools.racing import contest, figures, kerasgen_recipes

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(0)


def images(num, *shape):
    return RNG.integers(0, 256, (num, *shape), dtype=np.uint8)


def some_data(num, *shape):
    labels = np.arange(num, dtype=np.int32) % 10
    return contest.Data(images(num, *shape), labels, images(8, *shape), images(8, *shape), labels[:8])


def test_nats_are_those_of_log_prob():
    model = kerasgen.VariationalAutoencoder((8, 8, 1), latent_dim=3, width=4)
    uses, x = kerasgen_recipes.uses("vae", model, None, None), images(60, 8, 8, 1)
    expected = -model.log_prob(x, num_importance_samples=16, seed=5, verbose=0)
    np.testing.assert_allclose(figures.nats(uses["posterior"], uses["logits"], x, 16, 5), expected, rtol=1e-5)


def test_bits_are_those_of_bits_per_dim():
    model = kerasgen.Glow((8, 8, 3), levels=2, steps=1, width=4, squeeze="haar", num_classes=10)
    x, labels = images(60, 8, 8, 3), np.arange(60, dtype=np.int32) % 10
    model.compile()
    model.train_on_batch(x, labels)  # which initializes the flow: it is no identity
    uses = kerasgen_recipes.uses("glow", model, None, None)
    expected = model.bits_per_dim(x, labels, seed=5, verbose=0)
    np.testing.assert_allclose(figures.bits_per_dim(uses["log_density"], x, labels, 5), expected, rtol=1e-4)


def test_what_is_not_finite_is_counted():
    found = figures.mean([1.0, np.inf, np.nan])
    assert found == {"value": None, "standard_error": None, "n": 3, "not_finite": 2}
    assert figures.mean([1.0, 3.0]) == {"value": 2.0, "standard_error": pytest.approx(1.0), "n": 2}


@pytest.mark.parametrize("race", kerasgen_recipes.RECIPES)
def test_recipes_differ_from_the_zoo_in_labels_alone(race):
    raced, ours = (find(kerasgen_recipes.RECIPES[race]).recipe.to_dict() for _ in range(2))
    recipe = kerasgen_recipes.recipe_of(race, 7, bfloat16=True).to_dict()
    assert recipe["training"] == ours["training"] | {"seed": 7}
    gone = raced["model"]["config"].keys() - recipe["model"]["config"].keys()
    assert gone <= {"num_classes", "label_dropout"}
    assert ("num_classes" in recipe["model"]["config"]) == recipe["dataset"]["labels"] == (race == "glow")
    kept = {name: value for name, value in ours["model"]["config"].items() if name not in gone}
    assert recipe["model"]["config"] == kept | {"seed": 7}
    plain = kerasgen_recipes.recipe_of(race, 7, bfloat16=False)
    assert plain.training.precision == "float32"


def test_a_batch_has_each_image_once_an_epoch():
    drawn = contest.batches(10, 3, seed=0)
    epochs = [np.concatenate([next(drawn) for _ in range(3)]) for _ in range(2)]
    assert all(len(set(epoch)) == 9 for epoch in epochs)
    assert not np.array_equal(*epochs)


def test_our_contestant_keeps_to_the_time():
    clock = contest.Clock(3.0)
    given = some_data(256, 28, 28, 1)
    trained = kerasgen_recipes.train("vae", given, clock, seed=0, bfloat16=False)
    schedule = trained.settings["steps of the schedule"]
    assert 1 <= trained.steps <= schedule
    assert trained.steps == schedule or clock.seconds >= clock.limit
    assert trained.batch_size == 128
    assert trained.sample(3, 0).shape == (3, 28, 28, 1)
    assert trained.sample(3, 0).dtype == np.uint8
    assert np.isfinite(figures.nats(trained.posterior, trained.logits, given.test, 4, 0)).all()


PEERS = {"diffusion": ((28, 28, 1), "diffusers"), "glow": ((8, 8, 3), "normflows"), "gan": ((28, 28, 1), "torch")}


@pytest.mark.filterwarnings("ignore")  # of theirs
@pytest.mark.parametrize("race", [pytest.param("diffusion", marks=pytest.mark.slow), "glow", "gan"])
def test_peers_keep_to_the_time(race):
    shape, package = PEERS[race]
    pytest.importorskip(package)
    module = contest.PEERS[race][1]
    peer = __import__(f"tools.racing.{module}", fromlist=["train"])
    clock, given = contest.Clock(0.0), some_data(128, *shape)
    trained = peer.train(race, given, clock, seed=0, bfloat16=False)
    assert trained.steps == 1  # the time is up with the first step, which is ended
    assert clock.seconds > 0.0
    samples = trained.sample(3, 0)
    assert samples.shape == (3, *shape)
    assert samples.dtype == np.uint8
    np.testing.assert_array_equal(samples, trained.sample(3, 0))
    json.dumps(trained.settings)
    if race == "glow":
        bits = figures.bits_per_dim(trained.log_density, given.test, given.test_labels, 0)
        assert bits.shape == (8,)
        assert np.isfinite(bits).all()


def test_a_race_of_few_samples_is_a_trial(tmp_path):
    command = [sys.executable, ROOT / "tools" / "race.py", f"--output={tmp_path}", "--evaluated=100"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "--evaluated is 100; a race takes 10,000, and --trial fewer" in done.stdout + done.stderr
    assert not list(tmp_path.iterdir())


def test_the_table_marks_the_better_figure(tmp_path):
    def entry(value):
        figure = {"value": value, "standard_error": 0.01, "n": 10}
        counts = {"steps": 5, "images_seen": 50, "seconds": 1.5, "parameters": 7}
        counts |= {"share_of_cores_taken_by_others": 0.012}
        return {"figures": {"nats": figure}, **counts}

    machine = {"processor": {"name": "A processor", "flags": ["avx2"]}, "versions": {"keras": "3.0", "jax": None}}
    how = {"minutes": 20.0, "threads": 2, "seed": 0, "evaluated": 10_000, "trial": False, **machine}
    results = {"protocol": how, "races": {"vae": {"kerasgen": entry(80.0), "pythae": entry(90.0)}}}
    (tmp_path / "results.json").write_text(json.dumps(results))
    command = [sys.executable, ROOT / "tools" / "race.py", f"--output={tmp_path}", "--table"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "20 minutes each on 2 cores of A processor (avx2), seed 0" in text
    assert "| VAE, MNIST | kerasgen | **80 ± 0.01 nats per image** | - | - | 5 | 50 | 1.5 | 7 | 1.2% |" in text
    assert "| VAE, MNIST | pythae | 90 ± 0.01 nats per image | - | - | 5 | 50 | 1.5 | 7 | 1.2% |" in text
