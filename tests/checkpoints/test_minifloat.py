"""Weights of eight bits: what HDF5 reads is the formula's value, and rounding finds the nearest one."""

import h5py
import keras
import numpy as np
import pytest

import kerasgen
from kerasgen.checkpoints import minifloat
from kerasgen.checkpoints.checkpoint import WEIGHTS
from kerasgen.errors import CheckpointError, InputError

CODES = np.arange(256, dtype=np.uint8)
FINITE = CODES >> 4 & 7 < 7


def values(bias):
    """By the definition in the module, of all bytes."""
    sign, e, f = np.where(CODES >> 7, -1.0, 1.0), (CODES >> 4 & 7).astype(float), (CODES & 15) / 16
    return sign * np.where(e > 0, (1 + f) * 2.0 ** (e - bias), f * 2.0 ** (1 - bias))


@pytest.mark.parametrize("bias", [1, 3, 9, 20, 60, 106])
def test_hdf5_reads_every_byte_as_defined(bias, tmp_path):
    path = tmp_path / "numbers.h5"
    with h5py.File(path, "w") as file:
        minifloat.write(file, "a/b", minifloat.Minifloats(np.zeros(256, np.float32), bias))
        place = file["a/b"].id.get_offset()
    data = bytearray(path.read_bytes())
    data[place : place + 256] = CODES.tobytes()
    path.write_bytes(data)
    with h5py.File(path) as file:
        assert minifloat.is_one(file["a/b"].id.get_type())
        found = file["a/b"][...].astype(float)
    np.testing.assert_array_equal(found[FINITE], values(bias)[FINITE])
    assert not np.isfinite(found[~FINITE]).any()


@pytest.mark.parametrize("scale", [1e-33, 1e-20, 1e-3, 0.3, 10.0])
def test_rounds_to_the_nearest(scale, tmp_path):
    array = (np.random.default_rng(0).normal(size=(40, 50)) * scale).astype(np.float32)
    numbers = minifloat.rounded(array)
    known = values(numbers.bias)[FINITE]
    nearest = np.abs(array[..., None] - known).min(-1)
    np.testing.assert_allclose(np.abs(array - numbers.values), nearest, rtol=1e-6)
    assert np.abs(array).max() > 0.45 * known.max() or numbers.bias == minifloat.LARGEST - minifloat.LEAST
    with h5py.File(tmp_path / "numbers.h5", "w") as file:
        minifloat.write(file, "a", numbers)
        assert file["a"].id.get_storage_size() == array.size
        np.testing.assert_array_equal(file["a"][...].astype(np.float32), numbers.values)


def test_ties_zeros_and_what_is_too_large():
    ties = minifloat.rounded(np.array([[1.0, 1 + 1 / 32, 1 + 3 / 32, 0.0, -0.0]]))
    np.testing.assert_array_equal(ties.values, [[1.0, 1.0, 1.125, 0.0, 0.0]])
    np.testing.assert_array_equal(minifloat.rounded(np.zeros((2, 2))).values, 0.0)
    assert minifloat.rounded(np.zeros((0, 3))).values.shape == (0, 3)
    assert minifloat.rounded(np.array([62.9])).values == 62.0
    with pytest.raises(InputError, match="less than 63"):
        minifloat.rounded(np.array([1.0, -63.0]))


def test_a_model_saved_so(tmp_path, squares):
    model = kerasgen.VariationalAutoencoder((8, 8, 1), 2, width=8)
    model.compile()
    model.fit(squares[0], batch_size=16, verbose=0)
    for dtype in ("float16", "float8"):
        model.save(tmp_path / dtype, dtype=dtype)
        model.save(tmp_path / f"{dtype}.keras", dtype=dtype)
    sizes = {dtype: sum(sizes_of(tmp_path / dtype)) for dtype in ("float16", "float8")}
    assert sizes["float8"] < 0.6 * sizes["float16"]
    loaded = kerasgen.load(tmp_path / "float8")
    for variable, own in zip(loaded.weights, model.weights, strict=True):
        found, expected = (keras.ops.convert_to_numpy(v) for v in (variable, own))
        if expected.dtype.kind != "f":
            np.testing.assert_array_equal(found, expected)
        else:
            least = np.abs(expected).max() / 2**9 if expected.ndim > 1 else 1e-6
            np.testing.assert_allclose(found, expected, rtol=1 / 31, atol=least)
    expected = loaded.sample(4, seed=0, verbose=0)
    for other in (kerasgen.load(tmp_path / "float8.keras"), keras.saving.load_model(tmp_path / "float8.keras")):
        np.testing.assert_array_equal(other.sample(4, seed=0, verbose=0), expected)
    loaded.save(tmp_path / "again", dtype="float8")  # changes no more
    np.testing.assert_array_equal(kerasgen.load(tmp_path / "again").sample(4, seed=0, verbose=0), expected)


def sizes_of(folder):
    """Bytes of each array."""
    found = []
    with h5py.File(folder / WEIGHTS) as file:
        file.visititems(lambda _, item: found.append(item.id.get_storage_size()) if hasattr(item, "shape") else None)
    return found


def other(size, *, fields, bias):
    kind = h5py.h5t.IEEE_F32LE.copy()
    kind.set_fields(*fields)
    kind.set_size(size)
    kind.set_ebias(bias)
    return kind


@pytest.mark.parametrize(
    "kind",
    [
        other(1, fields=(7, 3, 4, 0, 3), bias=7),
        other(1, fields=(6, 3, 3, 0, 3), bias=3),
        other(2, fields=(15, 7, 8, 0, 7), bias=100),
        other(4, fields=(31, 23, 8, 0, 23), bias=3),
    ],
)
def test_other_kinds_of_numbers_are_refused(kind, tmp_path):
    model = kerasgen.VariationalAutoencoder((8, 8, 1), 2, encoder="dense", decoder="dense", width=8)
    model.save(tmp_path / "model", dtype="float8")
    with h5py.File(tmp_path / "model" / WEIGHTS, "r+") as file:
        names = []
        file.visititems(lambda name, item: names.append(name) if getattr(item, "ndim", 0) > 1 else None)
        shape = file[names[0]].shape
        del file[names[0]]
        space = h5py.h5s.create_simple(shape)
        data = h5py.h5d.create(file.id, names[0].encode(), kind, space)
        data.write(space, space, np.zeros(shape, np.float32))
    with pytest.raises(CheckpointError, match="not allowed"):
        kerasgen.load(tmp_path / "model")


def test_a_weight_too_large_is_named(tmp_path):
    model = kerasgen.VariationalAutoencoder((8, 8, 1), 2, encoder="dense", decoder="dense", width=8)
    kernel = model.encoder.layers[-1].kernel
    kernel.assign(np.full(kernel.shape, 70.0))
    with pytest.raises(CheckpointError, match="beyond float8") as error:
        model.save(tmp_path / "model", dtype="float8")
    assert kernel.path in str(error.value)
    assert not (tmp_path / "model").exists()


def test_codes_of_a_quantizer_keep_sixteen_bits(tmp_path):
    """They are means, over counts that may be near 0; so is what may grow beyond eight bits, in frozen models, too."""
    spatial = {"class": "spatial", "levels": 1}
    quantizer = {"class": "vector", "num_codes": 4, "dim": 2}
    model = kerasgen.VQVAE((4, 4, 1), (2, 2), quantizer, spatial, spatial, 4, context_width=8)
    sums = np.array([[1e-4, 900.0], [1.01, 2.0], [0.3, 0.7], [5.0, 6.0]])
    model.quantizer.sums.assign(sums)
    for trainable in (True, False):
        model.trainable = trainable
        model.save(tmp_path / "model", dtype="float8")
        found = keras.ops.convert_to_numpy(kerasgen.load(tmp_path / "model").quantizer.sums)
        np.testing.assert_array_equal(found, sums.astype("float16"))
        with h5py.File(tmp_path / "model" / "model.weights.h5") as file:
            layers = [name for name in file["encoder/steps"] if name.startswith("conv2d")]
            assert layers
            assert all(file[f"encoder/steps/{name}/vars/0"].id.get_type().get_size() == 1 for name in layers)
