"""Fine-tuning: other classes, other shapes, frozen parts, adapters of low rank."""

import json

import keras
import numpy as np
import pytest
from keras import ops

import kerasgen
from kerasgen.base.family import parts_of
from kerasgen.errors import CheckpointError, InputError
from tests.test_replicas import FAMILIES

UNET = {"class": "UNet", "width": 8, "multipliers": [1, 2]}
WITH_CLASSES = [name for name, make in FAMILIES.items() if name in ("vae", "glow", "gan", "diffusion", "classifier")]


def values(variables):
    return [ops.convert_to_numpy(v) for v in variables]


def moved(model):
    """The model with other weights than it begins with."""
    rng = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(variable + 0.05 * rng.standard_normal(variable.shape).astype(np.float32))
    return model


def unet(num_classes=4, shape=(8, 8, 1)):
    return moved(kerasgen.DiffusionModel(shape, num_classes=num_classes, network=UNET))


@pytest.mark.parametrize("family", WITH_CLASSES)
def test_more_and_fewer_classes(family, squares):
    """What it does with a class that stays is what it did."""
    model = moved(FAMILIES[family]())
    for num in (6, 2):
        other = model.with_num_classes(num)
        assert other.num_classes == num
        for old, new in zip(values(model.weights), values(other.weights), strict=True):
            common = tuple(slice(min(pair)) for pair in zip(old.shape, new.shape, strict=True))
            np.testing.assert_array_equal(old[common], new[common])
        if "sample" in model.offers and not hasattr(model, "generator"):
            settings = {"labels": [0, 1, 1], "seed": 0, "verbose": 0} | ({"steps": 3} if "diff" in family else {})
            np.testing.assert_allclose(other.sample(3, **settings), model.sample(3, **settings), atol=1e-5)
        other.compile()
        x, y = squares
        other.fit(x, y % num, batch_size=16, verbose=0)


def test_classes_for_a_model_without():
    """All else is kept, there and back."""
    model = unet(num_classes=None)
    other = model.with_num_classes(4)
    assert other.sample(4, steps=2, verbose=0).shape == (4, 8, 8, 1)
    assert [v for v in other.weights if v.path.startswith("classes")]
    kept = [v for v in other.weights if not v.path.startswith("classes")]
    for weights in (kept, other.with_num_classes(None).weights):
        for old, new in zip(values(model.weights), values(weights), strict=True):
            np.testing.assert_array_equal(old, new)


def test_parts_that_are_models_get_the_classes_too(tmp_path):
    """A denoiser over latents and a prior over codes, also where they were given as models, and loaded."""
    autoencoder = kerasgen.Autoencoder((8, 8, 1), 4, width=4)
    network = {"class": "MLP", "width": 8}
    denoiser = kerasgen.FlowMatching((4,), network=network, attributes=["round", "red"])
    latent = kerasgen.LatentDiffusion(autoencoder, denoiser, attributes=["round", "red"])
    transformer = {"class": "Transformer", "width": 8, "depth": 1, "heads": 2}
    prior = kerasgen.MaskedDiffusion((4,), 16, network=transformer, num_classes=4)
    spatial = {"class": "spatial", "levels": 2}
    codes = {"class": "vector", "num_codes": 16, "dim": 4}
    codec = kerasgen.VQVAE((8, 8, 1), (2, 2), codes, spatial, spatial, width=4, num_classes=4, prior=prior)
    for model, part in ((latent, "denoiser"), (codec, "prior")):
        model.save(tmp_path / part)
        for known in (model, kerasgen.load(tmp_path / part)):
            for num in (3, None):
                other = known.with_num_classes(num)
                assert (other.num_classes, getattr(other, part).num_classes, other.attributes) == (num, num, None)
                assert other.sample(3, seed=0, verbose=0, steps=2).shape == (3, 8, 8, 1)


def test_another_shape():
    """A U-Net has no weight that depends on it; a dense network has."""
    model = unet()
    other = model.with_shape((16, 12, 1))
    assert other.sample(2, labels=[0, 1], steps=2, verbose=0).shape == (2, 16, 12, 1)
    for old, new in zip(values(model.weights), values(other.weights), strict=True):
        np.testing.assert_array_equal(old, new)
    with pytest.raises(InputError, match=r"made for its shape: .* is \("):
        kerasgen.VariationalAutoencoder((8, 8, 1), 2, encoder="dense", decoder="dense", width=4).with_shape((4, 4, 1))
    with pytest.raises(InputError, match="has no num_classes"):
        kerasgen.Autoencoder((8, 8, 1), 2, width=4).with_num_classes(3)


def test_frozen_layers_stay(images):
    x, _ = images
    model = kerasgen.VariationalAutoencoder((8, 8, 1), 2, width=4)
    names = model.freeze("^encoder/")
    assert names
    assert all(name.startswith("encoder/") for name in names)
    encoder, decoder = values(model.encoder.weights), values(model.decoder.weights)
    model.compile()
    model.fit(x, batch_size=8, verbose=0)
    for before, after in zip(encoder, values(model.encoder.weights), strict=True):
        np.testing.assert_array_equal(before, after)
    assert any((a != b).any() for a, b in zip(decoder, values(model.decoder.weights), strict=True))
    model.freeze("^encoder/", trainable=True)
    assert len(model.trainable_variables) == len(model.encoder.weights) + len(model.decoder.weights)
    for pattern in ("nothing-like-it", "("):
        with pytest.raises(InputError, match="pattern is"):
            model.freeze(pattern)


@pytest.fixture
def published(monkeypatch):
    """A model that has a name: a repository of the Hub."""
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    keras.utils.set_random_seed(0)
    unet().push_to_hub("me/base")
    return kerasgen.load("me/base")


def test_an_adapter(published, squares, tmp_path):
    """Nothing changes before training; what is saved, merged or published is what was trained."""
    x, y = squares
    model, settings = published, {"labels": [0, 1, 2], "steps": 3, "seed": 0, "verbose": 0}
    base, before = values(model.weights), model.sample(3, **settings)
    layers = model.enable_lora(2, "qkv|out$|conv_a")
    assert any("qkv" in path for path in layers)
    assert {v.name for v in model.trainable_variables} == {"lora_kernel_a", "lora_kernel_b"}
    np.testing.assert_allclose(model.sample(3, **settings), before, atol=1e-5)
    model.compile(keras.optimizers.Adam(1e-2, use_ema=True, ema_momentum=0.9))
    model.fit(x, y, batch_size=8, epochs=3, verbose=0)
    after = model.sample(3, **settings)
    assert np.abs(after - before).max() > 1e-3
    assert all(name.endswith(("/a", "/b")) for name in model.adapter())
    model.save_adapter(tmp_path / "adapter")
    size = sum(path.stat().st_size for path in (tmp_path / "adapter").iterdir())
    loaded = kerasgen.load(tmp_path / "adapter")
    np.testing.assert_allclose(loaded.sample(3, **settings), after, atol=5e-3)  # float16
    loaded.compile()
    loaded.fit(x, y, batch_size=8, verbose=0)  # goes on
    model.save(tmp_path / "whole")
    assert size < 0.2 * (tmp_path / "whole" / "model.weights.h5").stat().st_size
    whole = kerasgen.load(tmp_path / "whole")
    assert whole.lora is None
    np.testing.assert_allclose(whole.sample(3, **settings), after, atol=1e-4)
    model.push_to_hub("me/adapter", adapter=True)
    np.testing.assert_allclose(kerasgen.load("me/adapter").sample(3, **settings), after, atol=5e-3)
    assert len(base) == len(whole.weights)


def test_adapters_that_do_not_fit(published, tmp_path):
    model = published
    with pytest.raises(InputError, match="has no adapter"):
        model.save_adapter(tmp_path / "none")
    model.enable_lora(1, "qkv")
    with pytest.raises(InputError, match="has an adapter already"):
        model.enable_lora(1)
    with pytest.raises(InputError, match="has an adapter; save it"):
        model.with_num_classes(3)
    folder = tmp_path / "adapter"
    model.save_adapter(folder)
    whole = (folder / "adapter.json").read_text()
    facts = json.loads(whole)
    for change, message in (
        ({"base_sha256": 64 * "0"}, "has other weights"),
        ({"base": "me/nothing"}, "cannot be had"),
        ({"layers": ["network/nothing"]}, "no A of that rank"),
        ({"sha256": 64 * "0"}, "is damaged"),
        ({"rank": 2}, "no A of that rank"),
        ({"rank": 10**12}, "no A of that rank"),
        ({"base": str(folder)}, "expected a name of the zoo or a repository"),
        ({"rank": "2"}, "no description of an adapter"),
        ({"format": 2}, "later format"),
    ):
        (folder / "adapter.json").write_text(json.dumps(facts | change))
        with pytest.raises((CheckpointError, kerasgen.errors.HubError), match=message):
            kerasgen.load(folder)
    (folder / "adapter.json").write_text(whole)
    model.push_to_hub("me/first-adapter", adapter=True)
    (folder / "adapter.json").write_text(json.dumps(facts | {"base": "me/first-adapter"}))
    with pytest.raises(CheckpointError, match="an adapter itself"):
        kerasgen.load(folder)
    nameless = unet()
    nameless.enable_lora(1, "qkv")
    with pytest.raises(InputError, match="was not loaded by a name"):
        nameless.save_adapter(tmp_path / "nameless")


def test_paths_are_the_same_on_every_backend():
    """An adapter of one is loaded by another."""
    assert "network/conditioning/hidden" in parts_of(unet())
