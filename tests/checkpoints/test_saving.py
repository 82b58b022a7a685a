"""What users save and load: frozen parts, settings of `compile`, their own classes, paths; what cannot be saved."""

import io
import json
import os
import subprocess
import sys
import textwrap
import warnings
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

import kerasgen
from kerasgen.checkpoints import CONFIG, FILES, WEIGHTS, load_checkpoint
from kerasgen.errors import CheckpointError, InputError, KerasgenError
from tests.model_case import assert_same

ROOT = Path(__file__).parents[2]
STEPS = 1 if keras.backend.backend() == "torch" else 2  # in one execution
FORMS = ("model.keras", "folder")


class Scale(keras.layers.Layer):
    """A layer of a user's, with an integer that is no size, which says nothing of its config."""

    def __init__(self, units, codes=200_000, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.codes = codes

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
        self.built = True

    def call(self, x):
        return x @ self.kernel


class Family(kerasgen.VariationalAutoencoder):
    def __init__(self, *args, extra=1, **kwargs):
        super().__init__(*args, **kwargs)
        self.extra = extra


class Halving(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, rate):
        self.rate = rate

    def __call__(self, step):
        return self.rate * 0.5 ** keras.ops.cast(step, "float32")

    def get_config(self):
        return {"rate": self.rate}


class Slow(keras.optimizers.SGD):
    """An optimizer of a user's."""


def doubled(x):
    return 2.0 * x


OWN = (Scale, Family, Halving, Slow, doubled)


def make(cls=kerasgen.VariationalAutoencoder, **arguments):
    return cls((8, 8, 1), 2, **{"width": 4, "encoder": "dense", "decoder": "dense", **arguments})


def sequential(*layers):
    return keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), *layers, keras.layers.Dense(4)])


@pytest.fixture(scope="module")
def own(squares, tmp_path_factory):
    """A trained model of a user's own parts, and where it is saved in each form."""
    keras.utils.set_random_seed(0)
    model = make(Family, encoder=sequential(Scale(8), keras.layers.Dense(8, doubled)), extra=5)
    model.compile(
        Slow(Halving(1e-5), momentum=0.9), steps_per_execution=STEPS, jit_compile=False, auto_scale_loss=False
    )
    model.fit(squares[0], batch_size=8, verbose=0)
    paths = [tmp_path_factory.mktemp("own") / form for form in FORMS]
    for path in paths:
        model.save(path)
    return model, paths


@pytest.mark.parametrize("form", range(2), ids=FORMS)
def test_own_classes_and_what_compile_was_given(own, form, squares):
    model, paths = own
    again = kerasgen.load(paths[form], trusted=OWN)
    assert type(again) is Family
    assert again.extra == 5
    assert again.encoder.layers[1].codes == 200_000
    assert_same(again.sample(2, seed=0), model.sample(2, seed=0), 0)
    assert type(again.optimizer) is Slow
    assert again.get_compile_config() == model.get_compile_config()
    assert (again.steps_per_execution, again.jit_compile, again.run_eagerly) == (STEPS, False, False)
    assert_same(again.optimizer.learning_rate, 1e-5 * 0.5**4, 1e-12)
    for one, other in zip(again.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(other))
    again.fit(squares[0], batch_size=8, verbose=0)
    assert int(again.optimizer.iterations) == 8


@pytest.mark.parametrize("form", range(2), ids=FORMS)
@pytest.mark.parametrize("missing", OWN, ids=lambda item: item.__name__)
def test_what_is_not_trusted_is_named_and_not_run(own, form, missing):
    _, paths = own
    advice = rf"{missing.__name__}.*trusted=\[{missing.__name__}\]"
    with pytest.raises(CheckpointError, match=advice):
        kerasgen.load(paths[form], trusted=[item for item in OWN if item is not missing])


def test_without_its_optimizer(own):
    assert not kerasgen.load(own[1][0], trusted=[Scale, Family, doubled], compile=False).compiled


@pytest.mark.parametrize("trusted", [Scale, "Scale", [Scale(2)], 3, [Scale, type("Scale", (Scale,), {})]])
def test_trusted_is_a_list_of_classes(own, trusted):
    with pytest.raises(InputError, match="trusted"):
        kerasgen.load(own[1][0], trusted=trusted)


def test_a_trusted_name_is_no_other_class(own, tmp_path):
    """Naming Dense as trusted lets nothing of Keras be what it is not; Popen stays refused."""
    folder = tmp_path / "model"
    make().save(folder)

    class Dense(Scale):
        pass

    assert type(kerasgen.load(folder, trusted=[Dense]).encoder.layers[2]) is keras.layers.Dense
    config = json.loads((folder / CONFIG).read_text())
    config["config"]["encoder"] = {"module": "subprocess", "class_name": "Popen", "config": {}, "registered_name": None}
    (folder / CONFIG).write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"subprocess\.Popen"):
        kerasgen.load(folder, trusted=[Dense])


# Frozen parts


def flags(layer):
    return [part.trainable for part in layer._flatten_layers()]


def freeze(model, *paths):
    for path, value in paths:
        part = model
        for name in path.split("."):
            part = part.layers[int(name)] if name.isdecimal() else getattr(part, name)
        part.trainable = value


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "changes",
    [[("encoder", False)], [("encoder", False), ("encoder.2", True)], [("decoder.1", False)], []],
    ids=["part", "thawed inside", "nested", "whole"],
)
def test_what_is_frozen_stays_so(changes, form, squares, tmp_path):
    model = make()
    freeze(model, *changes)
    if not changes:
        model.trainable = False
    else:
        model.compile()
    model.save(tmp_path / form)
    for again in (kerasgen.load(tmp_path / form), type(model).from_config(model.get_config())):
        assert flags(again) == flags(model)
        assert [v.path for v in again.trainable_variables] == [v.path for v in model.trainable_variables]
    if changes:
        again = kerasgen.load(tmp_path / form)
        fixed = [v.numpy() for v in again.non_trainable_variables if "seed" not in v.path]
        again.fit(squares[0], verbose=0)
        for value, v in zip(fixed, [v for v in again.non_trainable_variables if "seed" not in v.path], strict=True):
            assert_same(keras.ops.convert_to_numpy(v), value, 0)


def test_a_part_that_the_constructor_freezes_can_be_thawed(tmp_path):
    model = kerasgen.LatentDiffusion(make(), denoiser={"class": "FlowMatching"})
    assert not kerasgen.LatentDiffusion.from_config(model.get_config()).autoencoder.trainable
    model.autoencoder.trainable = True
    model.save(tmp_path / "model")
    assert kerasgen.load(tmp_path / "model").autoencoder.trainable


def test_frozen_after_compile_is_saved_without_optimizer(tmp_path, squares):
    model = make()
    model.compile()
    model.encoder.trainable = False
    with pytest.warns(UserWarning, match="compile it again"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)  # of Keras
        model.save(tmp_path / "model.keras")
    again = kerasgen.load(tmp_path / "model.keras")
    assert not again.compiled
    assert not again.encoder.trainable


@pytest.mark.parametrize(
    "schedule",
    [
        keras.optimizers.schedules.CosineDecay(1e-3, 1_000_000, warmup_steps=100_000, warmup_target=2e-3),
        keras.optimizers.schedules.PiecewiseConstantDecay([100_000, 10_000_000], [1e-3, 1e-4, 1e-5]),
        1e-2,
    ],
    ids=["cosine", "piecewise", "number"],
)
@pytest.mark.parametrize("form", FORMS)
def test_counts_of_steps_have_no_bound(schedule, form, tmp_path):
    model = make(kl_warmup_steps=100_000)
    model.compile(keras.optimizers.AdamW(schedule, use_ema=True, ema_momentum=0.5, clipnorm=1.0))
    model.save(tmp_path / form)
    again = kerasgen.load(tmp_path / form)
    assert again.kl_warmup_steps == 100_000
    assert again.optimizer.get_config() == model.optimizer.get_config()


def test_players_keep_their_settings(tmp_path):
    small = {"class": "conv", "width": 4}
    model = kerasgen.GAN((8, 8, 1), 4, generator=small, discriminator=small)
    model.compile(kerasgen.GANOptimizer(keras.optimizers.Adam(3e-4), keras.optimizers.RMSprop(1e-3)))
    model.save(tmp_path / "model")
    assert kerasgen.load(tmp_path / "model").optimizer.get_config() == model.optimizer.get_config()


def test_float16_has_no_optimizer(tmp_path):
    model = make()
    model.compile()
    model.save(tmp_path / "model", dtype="float16")
    assert not kerasgen.load(tmp_path / "model").compiled


# What cannot be saved


class Opaque(keras.layers.Layer):
    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function = function

    def call(self, x):
        return x


class Forgetful(kerasgen.VariationalAutoencoder):
    def __init__(self, *args, extra=1, **kwargs):
        super().__init__(*args, **kwargs)


class Wider(keras.layers.Layer):
    """A layer whose config does not say what it was made with."""

    def __init__(self, units=2, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(units)

    def get_config(self):
        return {"name": self.name}

    def build(self, input_shape):
        self.dense.build(input_shape)
        self.built = True

    def call(self, x):
        return self.dense(x)


UNSAVABLE = {
    "an object": (lambda: make(Family, extra=object()), "get_config"),
    "an array": (lambda: make(Family, extra=np.zeros(3)), "lists, not arrays"),
    "numbers as keys": (lambda: make(Family, extra={"a": {1: 2}}), "key 1"),
    "NaN": (lambda: make(Family, extra=float("nan")), "NaN"),
    "a layer without config": (lambda: make(encoder=sequential(Opaque(object()))), "get_config"),
    "a layer with a wrong config": (lambda: make(encoder=sequential(Wider(8))), "config"),
    "no attribute": (lambda: make(Forgetful), "set self.extra = extra"),
    "a lambda": (lambda: make(encoder=sequential(keras.layers.Lambda(lambda x: x))), r"keras\.layers\.Lambda"),
    "a size": (lambda: make(encoder=sequential(keras.layers.Identity(name="x" * 5000))), "length 5000"),
}


@pytest.mark.parametrize("case", UNSAVABLE)
def test_what_cannot_be_saved_is_said_by_compile(case, squares, tmp_path):
    """It trains all the same; `save` refuses it and leaves what is there as it is."""
    build, message = UNSAVABLE[case]
    model = build()
    with pytest.warns(UserWarning, match=rf"(?s){message}.*save and ModelCheckpoint will refuse"):
        model.compile()
    model.fit(squares[0], verbose=0)
    old = make()
    for form in FORMS:
        old.save(tmp_path / form)
        with pytest.raises(CheckpointError, match=message) as error:
            model.save(tmp_path / form)
        assert "\n" not in str(error.value)
        assert_same(kerasgen.load(tmp_path / form).sample(1, seed=0), old.sample(1, seed=0), 0)
        with pytest.raises(CheckpointError, match=message):
            model.save(tmp_path / f"new-{form}")
        assert not (tmp_path / f"new-{form}").exists()


def test_an_optimizer_that_cannot_be_saved_is_said_by_compile():
    class Wild(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.1

    with pytest.warns(UserWarning, match="Wild"):
        make().compile(keras.optimizers.Adam(Wild()))


# Paths


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize("form", FORMS)
def test_the_home_folder(form, kind, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)
    make().save(kind(f"~/{form}"))
    assert os.listdir(tmp_path) == ["home"]
    assert (tmp_path / "home" / form).exists()
    assert kerasgen.load(kind(f"~/{form}")).latent_dim == 2


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        *[(name, "HDF5.*save_weights") for name in ("m.h5", "m.hdf5", "m.weights.h5", Path("sub/M.H5"))],
        *[(f"{scheme}://bucket/m", "hf://") for scheme in ("s3", "gs", "https", "file", "gcs")],
        (Path("s3://bucket/m.keras"), "hf://"),
        ("", "expected the path"),
        pytest.param(io.BytesIO(), "expected the path", id="file"),
    ],
    ids=str,
)
def test_paths_that_are_refused(path, advice, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = make()
    with pytest.raises(InputError, match=advice):
        model.save(path)
    if isinstance(path, (str, Path)) and str(path) not in ("", "."):
        with pytest.raises(KerasgenError, match=advice):
            kerasgen.load(path)
    assert os.listdir(tmp_path) == []


def test_a_file_is_no_folder(tmp_path):
    model = make()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder.keras").mkdir()
    for name in ("file", "folder.keras"):
        with pytest.raises(InputError, match="expected a"):
            model.save(tmp_path / name)
    assert (tmp_path / "file").read_text() == "mine"
    model.save(tmp_path / "model.keras")
    with pytest.raises(InputError, match="exists"):
        model.save(tmp_path / "model.keras", overwrite=False)
    with pytest.raises(InputError, match="include_optimizer"):
        model.save(tmp_path / "model.keras", include_optimizer=False)


# `.keras` files of strangers


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "model.keras"
    make().save(path)
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def stranger(path, contents, compression=zipfile.ZIP_STORED, also=()):
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", compression) as file:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, data in [*contents.items(), *also]:
            file.writestr(name, data)
    return path


def test_keras_and_we_open_each_others_files(archive, tmp_path):
    path = stranger(tmp_path / "a.keras", archive)
    again = kerasgen.load(path)
    assert set(archive) == set(FILES)
    assert_same(keras.saving.load_model(path).sample(1, seed=0), again.sample(1, seed=0), 0)
    again.compile()
    keras.saving.save_model(again, tmp_path / "b.keras")
    keras.Model.save(again, tmp_path / "c.keras")
    for name in ("b.keras", "c.keras"):
        assert kerasgen.load(tmp_path / name).compiled


def test_a_relative_name_is_a_file(archive, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    for name in ("a.keras", "sub/a.keras"):
        stranger(tmp_path / name, archive)
        assert kerasgen.load(name).latent_dim == 2
    with pytest.raises(CheckpointError, match=r"no file b\.keras"):
        kerasgen.load("b.keras")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"compression": zipfile.ZIP_DEFLATED}, "compressed"),
        ({"also": [("../escaped", b"x")]}, "no more"),
        ({"also": [("/tmp/escaped", b"x")]}, "no more"),
        ({"also": [("assets/vocabulary.txt", b"x")]}, "no more"),
        ({"also": [(WEIGHTS, b"x")]}, "no more"),
        ({"without": WEIGHTS}, "no more"),
        ({"config": b'{"class_name": "Popen"}'}, "Popen"),
        ({"config": b" " * 2**23}, "larger"),
        ({"weights": b"x" * 100}, "HDF5"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_files_that_are_refused(archive, how, message, tmp_path):
    contents = dict(archive)
    contents.pop(how.get("without"), None)
    contents |= {CONFIG: how["config"]} if "config" in how else {}
    contents |= {WEIGHTS: how["weights"]} if "weights" in how else {}
    settings = {key: how[key] for key in ("compression", "also") if key in how}
    path = stranger(tmp_path / "model.keras", contents, **settings)
    with pytest.raises(CheckpointError, match=message):
        kerasgen.load(path)
    assert os.listdir(tmp_path) == ["model.keras"]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file(archive, share, tmp_path):
    path = stranger(tmp_path / "model.keras", archive)
    os.truncate(path, int(share * path.stat().st_size))
    with pytest.raises(CheckpointError, match=r"whole \.keras file"):
        kerasgen.load(path)


def test_what_is_checked_is_what_is_loaded(archive, tmp_path, monkeypatch):
    """Files that are replaced after the check are not read again."""
    folder = tmp_path / "model"
    model = make()
    model.save(folder)
    other = make(kerasgen.VariationalAutoencoder)
    other.save(tmp_path / "other")
    from kerasgen.checkpoints import weights

    check = weights.check_match

    def replaced(*args):
        check(*args)
        os.replace(tmp_path / "other" / WEIGHTS, folder / WEIGHTS)

    monkeypatch.setattr(weights, "check_match", replaced)
    assert_same(load_checkpoint(folder).sample(1, seed=0), model.sample(1, seed=0), 0)


# Elsewhere than on POSIX

WITHOUT_FCNTL = """
    import sys, warnings, builtins
    sys.modules["fcntl"] = None  # importing it raises ImportError
    warnings.simplefilter("ignore")
    import kerasgen
    model = kerasgen.VariationalAutoencoder((8, 8, 1), 2, width=4, encoder="dense", decoder="dense")
    for _ in range(2):
        model.save(sys.argv[1])
    print(sorted(__import__("os").listdir(sys.argv[1])), kerasgen.load(sys.argv[1]).latent_dim)
"""


def test_without_fcntl(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", textwrap.dedent(WITHOUT_FCNTL), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == f"{sorted(FILES)} 2\n"
