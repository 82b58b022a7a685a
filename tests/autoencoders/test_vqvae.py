import subprocess
import sys
import zlib

import keras
import numpy as np
import pytest
from keras import ops

from kerasgen import VQVAE, metrics
from kerasgen.autoencoders import streams
from kerasgen.autoencoders.code_model import CodeCoder, CodeModel, neighbour_places
from kerasgen.autoencoders.fixed_point import BITS, TOP, softmax_weights
from kerasgen.autoencoders.quantizers import FiniteScalarQuantizer, VectorQuantizer
from kerasgen.errors import InputError
from tests.model_case import long_fit

SPATIAL = {"class": "spatial", "levels": 1}


def small(**arguments):
    settings = {"shape": (8, 8, 1), "code_shape": (4, 4), "encoder": SPATIAL, "decoder": SPATIAL, "width": 8}
    settings |= {"quantizer": {"class": "vector", "num_codes": 8, "dim": 3}, "context_width": 16}
    return VQVAE(**settings | arguments)


@pytest.fixture(scope="module")
def model(squares):
    """A trained model."""
    keras.utils.set_random_seed(0)
    model = small()
    model.compile(keras.optimizers.Adam(3e-3))
    long_fit(model, squares[0], None, 150)
    return model


def tensor(x):
    return ops.convert_to_tensor(x)


# Quantizers


def test_nearest_codes_and_their_averages():
    """One update against the paper's algorithm in NumPy."""
    rng = np.random.default_rng(0)
    layer = VectorQuantizer(5, 3)
    layer.start_from(rng.normal(size=(40, 3)).astype(np.float32), 0)
    e = ops.convert_to_numpy(layer.codebook)
    z = rng.normal(size=(2, 20, 3)).astype(np.float32)
    codes = ops.convert_to_numpy(layer.codes_of(tensor(z)))
    distances = np.square(z[:, :, None] - e).sum(axis=-1)
    np.testing.assert_array_equal(codes, distances.argmin(axis=-1))
    quantized, same, distance = map(ops.convert_to_numpy, layer(tensor(z)))
    np.testing.assert_allclose(quantized, e[codes], atol=1e-6)
    np.testing.assert_array_equal(same, codes)
    np.testing.assert_allclose(distance, distances.min(axis=-1).sum(axis=1), rtol=1e-5)
    layer.update(tensor(z), tensor(codes), tensor(np.zeros(5, np.float32)))
    counts = 0.99 + 0.01 * np.bincount(codes.ravel(), minlength=5)
    sums = 0.99 * e + 0.01 * np.stack([z[codes == k].sum(axis=0) for k in range(5)])
    np.testing.assert_allclose(ops.convert_to_numpy(layer.codebook), sums / counts[:, None], rtol=1e-4)


def test_dead_codes_begin_anew_at_the_data():
    layer = VectorQuantizer(4, 2)
    layer.codebook.assign(np.array([[0, 0], [1, 1], [50, 50], [60, 60]], np.float32))
    layer.counts.assign(np.array([10, 10, 1e-3, 10], np.float32))
    layer.sums.assign(layer.codebook * layer.counts[:, None])
    z = np.random.default_rng(0).uniform(0, 1, (1, 30, 2)).astype(np.float32)
    codes = layer.codes_of(tensor(z))
    layer.update(tensor(z), codes, tensor(np.array([0.5, 0.5, 0.5, 0.5], np.float32)))
    found = ops.convert_to_numpy(layer.codebook)
    np.testing.assert_allclose(found[2], z[0, 15], atol=1e-5)
    np.testing.assert_allclose(found[3], 60.0, atol=1e-3)  # not yet


def test_finite_scalars_are_a_bijection():
    layer = FiniteScalarQuantizer([4, 3, 2])
    codes = np.arange(24, dtype=np.int32)
    vectors = ops.convert_to_numpy(layer.vectors_of(tensor(codes)))
    assert len(np.unique(vectors, axis=0)) == 24
    assert np.abs(vectors).max() <= 1.0
    z = np.random.default_rng(0).normal(0, 3, (1, 5000, 3)).astype(np.float32)
    quantized, found, _ = map(ops.convert_to_numpy, layer(tensor(z)))
    np.testing.assert_allclose(quantized, vectors[found], atol=1e-6)
    assert set(np.unique(found)) == set(range(24))
    order = [ops.convert_to_numpy(layer.vectors_of(layer.codes_of(tensor(np.float32([v, 0, 0]))))) for v in (-2, 0, 2)]
    assert order[0][0] < order[1][0] < order[2][0]
    np.testing.assert_array_equal(order[1], 0.0)  # what is 0 stays 0


# The code model and the coder


def random_code_model(num_codes=5, sides=(2, 3)):
    model = CodeModel(num_codes, sides, width=8)
    rng = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(rng.normal(0, 0.7, weight.shape))
    return model


def test_code_model_is_a_distribution():
    """The probabilities of all grids sum to one: nothing that comes later is seen."""
    model = random_code_model(3, (2, 3))
    every = np.stack(np.meshgrid(*[np.arange(3, dtype=np.int32)] * 6), axis=-1).reshape(-1, 6)
    log_p = ops.convert_to_numpy(model.log_prob(tensor(every)))
    assert np.exp(log_p).sum() == pytest.approx(1.0, abs=1e-5)
    assert log_p.std() > 0.5


def test_neighbours_come_before():
    around = neighbour_places((3, 4))
    for place, row in enumerate(around):
        assert all(other == 12 or other < place for other in row)
    assert list(around[6][:4]) == [5, 2, 1, 3]
    assert list(around[4][:4]) == [12, 0, 12, 1]  # at the left border


def test_coder_has_the_models_probabilities():
    model = random_code_model()
    codes = np.random.default_rng(0).integers(0, 5, (400, 6)).astype(np.int32)
    coder = CodeCoder(model)
    expected = ops.convert_to_numpy(model.log_prob(tensor(codes)))
    np.testing.assert_allclose(coder.log_prob(codes), expected, atol=0.02)
    payload = coder.encode(codes)
    np.testing.assert_array_equal(coder.decode(payload, 400), codes)
    assert 8 * len(payload) == pytest.approx(-coder.log_prob(codes).sum() / np.log(2.0), abs=100)


def test_weights_are_in_proportion_to_exponentials():
    logits = np.array([[0.0, 2.0**BITS, -40.0 * 2**BITS]])
    np.testing.assert_array_equal(softmax_weights(logits), [[np.rint(TOP / np.e), TOP, 2.0]])


# The model


def test_learns_and_uses_its_codes(model, squares):
    x, _ = squares
    found = model.evaluate(x, verbose=0, return_dict=True)
    error = np.square(model.reconstruct(x) - x / 255.0)
    assert found["mean_squared_error"] == pytest.approx(error.mean(), rel=1e-4)
    assert found["mean_squared_error"] < 0.3 * np.var(x / 255.0)
    codes = model.encode(x)
    assert codes.dtype == np.int32
    assert codes.shape == (32, 4, 4)
    np.testing.assert_allclose(model.decode(codes), model.reconstruct(x), atol=1e-5)
    nats = -CodeCoder(model.code_model).log_prob(codes.reshape(32, 16))
    assert found["bits_per_pixel"] == pytest.approx(nats.mean() / np.log(2.0) / 64, rel=0.02)
    assert found["bits_per_pixel"] < 0.6  # 3 bits for 4 pixels, if all codes were alike


@pytest.mark.parametrize("quantizer", [{"class": "finite_scalar", "levels": [5, 3]}, {"class": "vector", "dim": 2}])
def test_other_quantizers_learn(squares, quantizer):
    model = small(quantizer=quantizer)
    model.compile(keras.optimizers.Adam(3e-3))
    before = model.evaluate(squares[0], verbose=0, return_dict=True)["mean_squared_error"]
    long_fit(model, squares[0], None, 60)
    assert model.evaluate(squares[0], verbose=0, return_dict=True)["mean_squared_error"] < 0.5 * before


def test_compression(model, squares):
    x, _ = squares
    data = model.compress(x)
    np.testing.assert_array_equal(model.decompress(data), model.reconstruct(x))
    run = metrics.Evaluation(model, x, None, "test")
    found = metrics.evaluate(run, ["rate", "codebook_usage", "psnr"])["metrics"]
    assert found["bits_per_pixel"]["value"] == pytest.approx(8 * len(data) / x.size)
    usage = len(np.unique(model.encode(x))) / 8
    assert found["codebook_usage"]["value"] == pytest.approx(usage)
    assert 1.0 <= found["codebook_usage"]["perplexity"] <= 8 * usage


def test_images_of_any_size(model):
    rng = np.random.default_rng(0)
    for shape in ((2, 8, 8, 1), (1, 13, 30, 1), (3, 5, 3, 1)):
        x = rng.integers(0, 256, shape, dtype=np.uint8)
        restored = model.decompress(model.compress(x))
        assert restored.shape == shape
    np.testing.assert_array_equal(restored, model.decompress(model.compress(x / np.float32(255.0))))


def test_another_process_reads_the_stream(model, squares, tmp_path):
    data = model.compress(squares[0])
    model.save(tmp_path / "model")
    (tmp_path / "data").write_bytes(data)
    code = f"""
import kerasgen, numpy
model = kerasgen.load({str(tmp_path / "model")!r})
numpy.save({str(tmp_path / "x.npy")!r}, model.decompress(open({str(tmp_path / "data")!r}, "rb").read()))
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    np.testing.assert_allclose(np.load(tmp_path / "x.npy"), model.reconstruct(squares[0]), atol=1e-5)


def test_damaged_streams_are_errors(model, squares):
    """1,000 random damages: bytes changed, cut off, added, in header and payload."""
    data = model.compress(squares[0][:4])
    rng = np.random.default_rng(0)
    for trial in range(1000):
        bad = bytearray(data)
        kind = trial % 4
        if kind == 0:
            place = rng.integers(len(bad))
            bad[place] ^= 1 << rng.integers(8)
        elif kind == 1:
            del bad[rng.integers(len(bad)) :]
        elif kind == 2:
            place = rng.integers(len(bad))
            bad[place:place] = rng.bytes(rng.integers(1, 9))
        else:
            start = rng.integers(len(bad))
            piece = rng.bytes(rng.integers(1, 20))
            bad[start : start + len(piece)] = piece
        if bytes(bad) == data:
            continue
        with pytest.raises(InputError, match=r"expected the bytes that compress|take the one that wrote it"):
            model.decompress(bytes(bad))


def test_foreign_streams_are_errors(model, squares):
    data = model.compress(squares[0][:4])
    other = small()
    for reader, given, message in [
        (other, data, "another model"),
        (model, b"", "cut short"),
        (model, b"\x89PNG" + data[4:], "not of kerasgen"),
        (model, "text", "is a str"),
        (model, None, "is a NoneType"),
    ]:
        with pytest.raises(InputError, match=message):
            reader.decompress(given)
    for shape, payload, message in [
        ((2**24, 8, 8, 1), b"\0" * 8, "cannot hold"),
        ((2**22, 1, 1, 1), b"\0" * 8, "cannot hold"),  # a tile each
        ((2**31, 8, 8, 1), b"\0" * 8, "at most"),
        ((0, 8, 8, 1), b"\0" * 8, "expected some"),
        ((1, 8, 8, 1), b"\1" * 3, "no coded stream"),
    ]:
        with pytest.raises(InputError, match=message):
            model.decompress(forged(model, shape, payload))


def forged(model, shape, payload):
    """A stream whose checksum and digest are right."""
    header = streams.HEADER.pack(b"kgen", 1, 1, model.digest(), *shape, len(payload))
    return header + streams.CHECKSUM.pack(zlib.crc32(payload, zlib.crc32(header))) + payload


def test_random_payloads_are_codes_or_errors(model):
    rng = np.random.default_rng(0)
    for trial in range(300):
        data = forged(model, (1, 8, 8, 1), rng.bytes(4 * (trial % 6)))
        try:
            assert model.decompress(data).shape == (1, 8, 8, 1)
        except InputError as error:
            assert "no coded stream" in str(error)


def test_what_compresses_best_comes_back(squares):
    """Thousands of equal images take next to no bits, and payloads are filled up to what their header promises."""
    model = small(encoder={"class": "spatial", "levels": 1}, quantizer={"class": "finite_scalar", "levels": [2]})
    model.compile(keras.optimizers.Adam(1e-2))
    x = np.zeros((2000, 8, 8, 1), np.uint8)
    model.fit(x, batch_size=50, epochs=4, verbose=0)
    x = np.zeros((1, 1500, 1000, 1), np.uint8)
    data = model.compress(x, verbose=0)
    assert len(data) < x.size / 100
    assert model.decompress(data, verbose=0).shape == x.shape


def test_wrong_arguments(squares):
    for arguments, message in [
        ({"code_shape": (3, 3)}, "spatial"),
        ({"code_shape": 4}, "rows, columns"),
        ({"quantizer": "scalar"}, "quantizer"),
        ({"quantizer": {"class": "vector", "num_codes": 1}}, "num_codes"),
        ({"quantizer": {"class": "finite_scalar", "levels": []}}, "levels"),
        ({"quantizer": {"class": "finite_scalar", "levels": [1001]}}, "at most 1000"),
        ({"quantizer": keras.layers.Dense(4)}, "Quantizer"),
        ({"quantizer": {"class": "finite_scalar", "levels": [100, 100, 100]}}, "at most 65536"),
        ({"commitment": -1.0}, "commitment"),
    ]:
        with pytest.raises(InputError, match=message):
            small(**arguments)
    model = small()
    for codes, message in [
        (np.zeros((2, 4, 4)), "integers"),
        (np.zeros((2, 16), np.int32), "shape"),
        (np.full((1, 4, 4), 8), "0 to 7"),
    ]:
        with pytest.raises(InputError, match=message):
            model.decode(codes)


def test_saving(model, squares, tmp_path):
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.compress(squares[0]) == model.compress(squares[0])
    again.fit(squares[0], verbose=0)
    assert zlib.crc32(again.compress(squares[0])) != zlib.crc32(model.compress(squares[0]))
