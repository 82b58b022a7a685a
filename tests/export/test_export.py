"""Parts of models in other runtimes: the same inputs give the same images, also for another number of them."""

import json
import os

import keras
import numpy as np
import pytest
from keras import ops

import kerasgen
from kerasgen import noise
from kerasgen.errors import InputError
from kerasgen.export.checked import difference
from kerasgen.export.formats import FORMATS
from tests.export.runtimes import RUN, SUFFIX

for package in ("tensorflow", "onnx", "tf2onnx", "onnxruntime", "ai_edge_litert"):
    pytest.importorskip(package)

SHAPE, SEED, NUM = (8, 8, 1), 7, 5
DENSE = {"encoder": "dense", "decoder": "dense", "width": 8}
PATCH = {"class": "patch", "width": 4, "levels": 1}
DIT = {"class": "DiT", "width": 16, "depth": 1, "heads": 2, "patch": 2}
MLP = {"class": "MLP", "width": 16, "depth": 1}


def autoencoder():
    model = kerasgen.Autoencoder(SHAPE, 3, width=8, num_components=3)
    rng = np.random.default_rng(1)
    model.density.assign(np.array([0.2, 0.5, 0.3]), rng.normal(size=(3, 3)), rng.normal(size=(3, 3, 3)))
    return model


def latent_diffusion():
    inner = kerasgen.Autoencoder(SHAPE, 3, **DENSE)
    return kerasgen.LatentDiffusion(inner, {"class": "FlowMatching", "network": MLP}, num_classes=3)


def translator(family):
    network = {"class": "residual", "width": 4, "blocks": 1}
    return family(SHAPE, generator=network, discriminator=PATCH)


MAKE = {
    "ae": autoencoder,
    "vae": lambda: kerasgen.VariationalAutoencoder(SHAPE, 3, width=8, num_classes=3),
    "gan": lambda: kerasgen.GAN(SHAPE, 4, {"class": "conv", "width": 4}, {"class": "conv", "width": 4}, num_classes=3),
    "glow": lambda: kerasgen.Glow(SHAPE, levels=2, steps=1, width=8),
    "spline": lambda: kerasgen.RealNVP(SHAPE, steps=1, scales=1, width=8, coupling="spline"),
    "vectors": lambda: kerasgen.RealNVP((4,), steps=2, width=8),
    "diffusion": lambda: kerasgen.DiffusionModel(SHAPE, 3, network=DIT),
    "super": lambda: kerasgen.DiffusionModel(SHAPE, network=DIT, super_resolution=2, self_conditioning=True),
    "flow": lambda: kerasgen.FlowMatching((4,), network=MLP),
    "latent": latent_diffusion,
    "classifier": lambda: kerasgen.Classifier(SHAPE, 3, width=4),
    "pix2pix": lambda: translator(kerasgen.Pix2Pix),
    "cyclegan": lambda: translator(kerasgen.CycleGAN),
}


@pytest.fixture(scope="module")
def model():
    """A small model by its name in `MAKE`, on weights that nothing started with, made once."""
    made = {}

    def find(name):
        if name not in made:
            keras.utils.set_random_seed(0)
            made[name] = MAKE[name]()
            rng = np.random.default_rng(0)
            for variable in made[name].trainable_variables:
                variable.assign_add(rng.normal(0.0, 0.05, variable.shape))
        return made[name]

    return find


def labels(model):
    return {} if model.num_classes is None else {"labels": np.array([2, 0, 1, 1, 0], np.int32)}


def images():
    return {"images": np.random.default_rng(3).random((NUM, *SHAPE), np.float32)}


def drawn(shape):
    return noise.normal(0, NUM, shape, SEED)


def sampler_inputs(model, *names):
    """What `sample(seed=SEED)` draws, by the names of a sampler's inputs."""
    given = {
        "noise": drawn(getattr(model, "noise_shape", (model.latent_dim,))),
        "keys": noise.keys(0, NUM, SEED),
        "uniform": noise.uniform(0, NUM, (1,), SEED, stream=1).astype(np.float32),
    }
    return {name: given[name] for name in names} | labels(model)


def same(found, expected, levels=None):
    assert found.dtype == np.float32
    assert np.ptp(expected) > 0.01
    difference(found, expected, levels)


# family, part, settings, formats, inputs, what the model itself does, values that pixels are rounded to
ALL = tuple(FORMATS)
SAMPLERS = [
    ("ae", {}, ("noise", "uniform")),
    ("vae", {}, ("noise",)),
    ("gan", {}, ("noise",)),
    ("glow", {}, ("noise",)),
    ("spline", {}, ("noise",)),
    ("vectors", {}, ("noise",)),
    ("diffusion", {"steps": 10}, ("noise",)),
    ("diffusion", {"steps": 3, "sampler": "ddpm", "guidance": 2.0, "temperature": 0.5}, ("noise", "keys")),
    ("flow", {"steps": 4, "sampler": "unipc"}, ("noise",)),
    ("latent", {"steps": 3, "sampler": "heun"}, ("noise",)),
]


@pytest.mark.backend("tensorflow")
@pytest.mark.parametrize(("name", "settings", "names"), SAMPLERS)
def test_samplers(model, name, settings, names, tmp_path):
    model = model(name)
    given = sampler_inputs(model, *names)
    expected = model.sample(NUM, given.get("labels"), seed=SEED, **settings)
    levels = getattr(model, "num_levels", None) if name in ("glow", "spline") else None
    for form in ALL[:2] if "keys" in names else ALL:
        path = tmp_path / f"sampler{SUFFIX[form]}"
        report = model.export(path, form, part="sampler", **settings)
        same(RUN[form](path, given), expected, levels)
        assert report == json.loads((tmp_path / f"{path.name}.json").read_text())
        assert list(report["inputs"]) == list(given)
        assert report["inputs"]["noise"]["shape"] == [None, *given["noise"].shape[1:]]
        assert report["output"] == {model.modality.noun: {"shape": [None, *model.shape], "dtype": "float32"}}
        assert report["max_difference"] <= 1e-4
        assert report["settings"].items() >= {k: v for k, v in settings.items() if k != "sampler"}.items()


def low_res(model):
    return {"low_res": np.random.default_rng(3).random((NUM, *model.given_shape), np.float32)}


PARTS = [
    ("ae", "encoder", images, lambda model, given: model.encode(*given.values())),
    ("ae", "whole", images, lambda model, given: model(given["images"])),
    ("vae", "encoder", images, lambda model, given: model.encode(*given.values())),
    ("vae", "whole", images, lambda model, given: model.reconstruct(*given.values())),
    ("gan", "decoder", lambda: {"latents": drawn((4,))}, lambda model, given: model.decode(*given.values())),
    ("glow", "encoder", images, lambda model, given: model.encode(*given.values())),
    ("classifier", "encoder", images, lambda model, given: model.features(*given.values())),
    ("classifier", "whole", images, lambda model, given: model.classify(*given.values())),
    ("pix2pix", "whole", images, lambda model, given: model.translate(*given.values())),
    ("cyclegan", "b_to_a", images, lambda model, given: model.translate(*given.values(), "b_to_a")),
]


@pytest.mark.backend("tensorflow")
@pytest.mark.parametrize(("name", "part", "inputs", "of_model"), PARTS, ids=lambda x: x if isinstance(x, str) else "")
def test_parts(model, name, part, inputs, of_model, tmp_path):
    model = model(name)
    given = inputs() | (labels(model) if name in ("vae", "gan") else {})
    expected = ops.convert_to_numpy(of_model(model, given))
    for form in ALL:
        path = tmp_path / f"part{SUFFIX[form]}"
        model.export(path, form, part=part)
        same(RUN[form](path, given), expected)


@pytest.mark.backend("tensorflow")
def test_noise_in_the_steps_is_not_for_litert(model, tmp_path, capfd):
    with pytest.raises(InputError, match=r"LiteRT has no BitwiseAnd, BitwiseOr, LeftShift.*, which this part needs\."):
        model("flow").export(tmp_path / "a.tflite", "litert", part="sampler", sampler="dpm++sde", steps=2)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr().err == ""


@pytest.mark.backend("tensorflow")
def test_latents_of_a_diffusion_model(model, tmp_path):
    """To the noise by 50 steps of DDIM, and back."""
    model = model("diffusion")
    model.export(tmp_path / "encoder.onnx", "onnx", part="encoder")
    model.export(tmp_path / "decoder.onnx", "onnx", part="decoder")
    given = images() | labels(model)
    z = model.encode(*given.values())
    same(RUN["onnx"](tmp_path / "encoder.onnx", given), z)
    same(RUN["onnx"](tmp_path / "decoder.onnx", {"latents": z, **labels(model)}), model.decode(z, given["labels"]))


@pytest.mark.backend("tensorflow")
def test_super_resolution(model, tmp_path):
    model = model("super")
    path = tmp_path / "upscale.onnx"
    given = sampler_inputs(model, "noise") | low_res(model)
    model.export(path, "onnx", part="whole", steps=3)
    same(RUN["onnx"](path, given), model.upscale(given["low_res"], seed=SEED, steps=3))
    with pytest.raises(InputError, match="no part 'decoder'; what it has: encoder, sampler, whole, denoiser"):
        model.part("decoder")


@pytest.mark.backend("tensorflow")
@pytest.mark.parametrize("name", ["diffusion", "super", "latent"])
def test_denoiser(model, name, tmp_path):
    """A loop of one's own over it, by DDIM, gives what `sample` does."""
    model = model(name)
    inner = model.denoiser if name == "latent" else model
    path = tmp_path / "denoiser.onnx"
    report = model.export(path, "onnx", part="denoiser")
    levels = inner.levels(4, "trailing")
    x, last = drawn(inner.shape), None
    last = np.zeros_like(x)
    given = labels(model) | (low_res(model) if name == "super" else {})
    for index in range(4):
        alpha, sigma = levels.alpha[index], levels.sigma[index]
        time = np.full(NUM, levels.time[index], np.float32)
        read = {"x": x, "time": time, **given} | ({"last": last} if name == "super" else {})
        output = RUN["onnx"](path, read)
        if report["settings"]["prediction"] == "v":
            last = np.clip(alpha * x - sigma * output, -1.0, 1.0).astype(np.float32)
        else:
            last = (x + sigma * output).astype(np.float32)
        e = (x - alpha * last) / sigma
        x = (levels.alpha[index + 1] * last + levels.sigma[index + 1] * e).astype(np.float32)
    settings = {"sampler": "ddim", "steps": 4, "seed": SEED}
    if name == "super":
        same((x + 1.0) / 2.0, model.upscale(given["low_res"], **settings))
    elif name == "latent":
        same(x, inner.sample(NUM, **given, **settings))
    else:
        same((x + 1.0) / 2.0, model.sample(NUM, **given, **settings))


@pytest.mark.backend("jax", "torch")
def test_other_backends_write_by_tensorflow(model, tmp_path):
    """In a process of its own; what it writes gives what the model gives here."""
    model = model("gan")
    path, given = tmp_path / "sampler.onnx", sampler_inputs(model, "noise")
    model.export(path, "onnx", part="sampler")
    same(RUN["onnx"](path, given), model.sample(NUM, given["labels"], seed=SEED))
    with pytest.raises(InputError, match="settings of export are plain values"):
        MAKE["flow"]().export(path, "onnx", part="sampler", sampler=kerasgen.samplers.DDIM())


@pytest.mark.backend("tensorflow")
def test_keras_own_export_stays(model, tmp_path):
    model, given = model("ae"), images()["images"]
    assert model.export(tmp_path / "model", verbose=False) is None
    tf = pytest.importorskip("tensorflow")
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    same(loaded.serve(given).numpy(), ops.convert_to_numpy(model(given)))


# What goes wrong


@pytest.mark.parametrize(
    ("name", "part", "settings", "message"),
    [
        ("gan", "encoder", {}, r"a GAN has no part 'encoder'; what it has: decoder, sampler, whole\."),
        ("pix2pix", "sampler", {}, r"a Pix2Pix has no part 'sampler'; what it has: whole\."),
        ("vae", "sampler", {"steps": 3}, r"the sampler of a Var\w+ has no setting steps in an export; it has none\."),
        ("diffusion", "sampler", {"stpes": 3}, "no setting stpes in an export; expected of sampler, steps, guidance"),
        ("diffusion", "sampler", {"steps": 0}, "steps is 0"),
        ("gan", "sampler", {"input_signature": []}, "leave input_signature out"),
        ("gan", "sampler", {"format": "openvino"}, "format is 'openvino'; expected one of .*'tf_saved_model', 'onnx'"),
    ],
)
def test_wrong_arguments(model, name, part, settings, message, tmp_path):
    with pytest.raises(InputError, match=message):
        model(name).export(tmp_path / "file.onnx", **{"format": "onnx", "part": part} | settings)
    assert list(tmp_path.iterdir()) == []


def test_an_autoencoder_without_density(tmp_path):
    with pytest.raises(InputError, match="no density has been fitted"):
        kerasgen.Autoencoder(SHAPE, 3, **DENSE).export(tmp_path / "a.onnx", "onnx", part="sampler")


def test_missing_packages(model, tmp_path, monkeypatch):
    monkeypatch.setattr(type(FORMATS["onnx"]), "packages", ("tensorflow", "not-there"))
    with pytest.raises(InputError, match=r'onnx.* needs not-there: pip install "kerasgen-zoo\[export\]"'):
        model("gan").export(tmp_path / "a.onnx", "onnx", part="sampler")


def test_paths(model, tmp_path):
    """Refused before any work, and what is there stays."""
    model = model("vectors")
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "file").write_text("mine")
    for path, form, message in [
        ("a.tflite", "onnx", r"a\.tflite ends in \.tflite; expected \.onnx"),
        ("a", "litert", r"ends in no suffix; expected \.tflite"),
        ("folder.onnx", "onnx", "is a folder; expected a file"),
        ("mine", "tf_saved_model", "exists and is no SavedModel"),
        ("file", "tf_saved_model", "exists and is no SavedModel"),
        ("file/a.onnx", "onnx", r"a\.onnx cannot be written"),
    ]:
        with pytest.raises(InputError, match=message):
            model.export(tmp_path / path, form, part="sampler")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.onnx", "mine"]


@pytest.mark.backend("tensorflow")
def test_replaces_what_it_wrote(model, tmp_path):
    for name in ("vectors", "flow"):
        for form in ("tf_saved_model", "onnx"):
            path = tmp_path / f"model{SUFFIX[form]}"
            model(name).export(path, form, part="sampler")
            given = sampler_inputs(model(name), "noise")
            same(RUN[form](path, given), model(name).sample(NUM, seed=SEED))
    assert sorted(os.listdir(tmp_path)) == ["model", "model.json", "model.onnx", "model.onnx.json"]


class Noisy(keras.layers.Layer):
    """A generator of vectors that adds other noise each time."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(0)
        self.built = True

    def call(self, z):
        return z + keras.random.normal(ops.shape(z), seed=self.seed_generator)


class Unknown(keras.layers.Layer):
    """A generator of vectors with what neither ONNX nor LiteRT has."""

    def call(self, z):
        return z + ops.sum(ops.svd(z[:, :, None] * z[:, None], compute_uv=False), axis=1, keepdims=True)


@pytest.mark.backend("tensorflow")
@pytest.mark.parametrize(
    ("layer", "form", "message"),
    [
        (Noisy, "tf_saved_model", "differs from the model by .* of the range, more than 0.0001; nothing was kept"),
        (Unknown, "onnx", "onnx cannot hold the sampler: "),
        (Unknown, "litert", r"LiteRT has no Svd, which this part needs\."),
    ],
)
def test_what_is_not_kept(layer, form, message, tmp_path, capfd):
    model = kerasgen.GAN((4,), 4, layer(), {"class": "dense", "width": 4})
    with pytest.raises(InputError, match=message) as error:
        model.export(tmp_path / f"model{SUFFIX[form]}", form, part="sampler")
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr().err == ""


def test_differences():
    a = np.linspace(0.0, 1.0, 256, dtype=np.float32)[None]
    assert difference(a, a, None) == 0.0
    b = a.copy()
    b[0, 3] += 1 / 255
    with pytest.raises(InputError, match="differs"):
        difference(b, a, None)
    assert difference(b, a, 256) == pytest.approx(1 / 255 / 256, rel=1e-4)
    for wrong in (1.0 - a, a[:, 1:], np.full_like(a, np.nan)):
        with pytest.raises(InputError, match="exported program"):
            difference(wrong, a, 256)
