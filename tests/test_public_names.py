"""The names that users meet first, and those that they bring along from other libraries."""

import subprocess
import sys

import keras
import pytest

import kerasgen
from kerasgen.errors import InputError

MODULES = {
    "data": "load",
    "metrics": "frechet_distance",
    "samplers": "SAMPLERS",
    "bijectors": "Bijector",
    "networks": "DENOISERS",
    "backend": "train_step",
}


@pytest.mark.parametrize(("module", "name"), MODULES.items())
def test_modules_are_attributes(module, name):
    namespace = {}
    exec(f"from kerasgen import {module}", namespace)
    assert namespace[module] is getattr(kerasgen, module)
    assert hasattr(namespace[module], name)
    assert module in dir(kerasgen)


def test_names():
    names = "load save list_models publish import_checkpoint register_family GANOptimizer errors __version__"
    for name in names.split():
        assert name in dir(kerasgen)
        assert hasattr(kerasgen, name)
    with pytest.raises(AttributeError, match="no attribute 'modles'"):
        kerasgen.modles  # noqa: B018


IMPORTED = """
import sys, kerasgen
print(*sorted(sys.modules))
kerasgen.data, kerasgen.metrics
print(*sorted(sys.modules))
"""


def test_what_is_not_used_costs_nothing():
    """Pipelines and figures are imported when they are named, TensorFlow Datasets not even then."""
    run = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True)
    before, after = (set(line.split()) for line in run.stdout.splitlines())
    assert not before & {"kerasgen.data", "kerasgen.metrics", "tensorflow_datasets"}
    assert after >= {"kerasgen.data", "kerasgen.metrics"}
    assert "tensorflow_datasets" not in after


def test_save(tmp_path):
    model = kerasgen.Autoencoder((8, 8, 1), 2, encoder="dense", decoder="dense", width=4)
    kerasgen.save(model, tmp_path / "model")
    assert type(kerasgen.load(tmp_path / "model")) is kerasgen.Autoencoder
    with pytest.raises(InputError, match="exists"):
        kerasgen.save(model, tmp_path / "model", overwrite=False)


def make_gan():
    network = {"class": "dense", "width": 4}
    return kerasgen.GAN((8, 8, 1), latent_dim=2, generator=network, discriminator=network)


def test_one_optimizer_is_for_both_players():
    gan = make_gan()
    gan.compile(keras.optimizers.Adam(0.25, beta_1=0.5))
    players = gan.optimizer.generator, gan.optimizer.discriminator
    assert isinstance(gan.optimizer, kerasgen.GANOptimizer)
    assert players[0] is not players[1]
    for player in players:
        assert isinstance(player, keras.optimizers.Adam)
        assert (float(player.learning_rate), player.beta_1) == (0.25, 0.5)
    gan.compile("sgd")
    assert all(isinstance(player, keras.optimizers.SGD) for player in gan.optimizer.optimizers)


def test_presets():
    assert "vae-mnist" in kerasgen.VariationalAutoencoder.presets
    assert set(kerasgen.Glow.presets) == {model["name"] for model in kerasgen.list_models("Glow")}
    assert set(kerasgen.Glow.presets) < set(kerasgen.GenerativeModel.presets)
    assert "lenet-mnist" not in kerasgen.GenerativeModel.presets
    assert type(kerasgen.GenerativeModel.from_preset("vae-mnist")) is kerasgen.VariationalAutoencoder
    with pytest.raises(InputError, match=r"is a VariationalAutoencoder, not a GAN; call VariationalAutoencoder\.from"):
        kerasgen.GAN.from_preset("vae-mnist")


def make_diffusion():
    return kerasgen.DiffusionModel((2,), num_classes=3, network={"class": "MLP", "width": 4})


@pytest.mark.parametrize(
    ("setting", "ours"),
    [
        ("num_inference_steps", "steps"),
        ("num_steps", "steps"),
        ("guidance_scale", "guidance"),
        ("scheduler", "sampler"),
        ("class_labels", "labels"),
    ],
)
def test_settings_of_other_libraries(setting, ours):
    with pytest.raises(InputError, match=f"no setting '{setting}'; it is called {ours} here"):
        make_diffusion().sample(2, **{setting: 10})


def test_settings_that_nobody_has():
    with pytest.raises(
        InputError, match=r"DiffusionModel.sample has no setting 'stpes'; expected of .*steps, guidance"
    ):
        make_diffusion().sample(2, stpes=10)
    with pytest.raises(InputError, match=r"GAN.sample has no setting 'num_inference_steps'; expected of .*truncation"):
        make_gan().sample(2, num_inference_steps=10)
