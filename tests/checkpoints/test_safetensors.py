"""Files in the format safetensors: what the library writes is read, and what is damaged is refused."""

import json

import numpy as np
import pytest

from kerasgen.checkpoints.safetensors import places, read
from kerasgen.errors import CheckpointError

RNG = np.random.default_rng(0)
ARRAYS = {
    "a": RNG.standard_normal((2, 3)).astype(np.float32),
    "half": RNG.standard_normal((4,)).astype(np.float16),
    "none": np.zeros((0, 3), np.float32),
    "one": np.array(7, np.int64),
    "byte": np.arange(5, dtype=np.uint8),
}
NAMES = {"float32": "F32", "float16": "F16", "int64": "I64", "uint8": "U8"}


def write(path, edit=lambda header: None, data=None, header=None, length=None):
    """A file with the arrays, whose header `edit` has changed."""
    table, content = {"__metadata__": {"format": "np"}}, b""
    for name, array in ARRAYS.items():
        offsets = [len(content), len(content) + array.nbytes]
        table[name] = {"dtype": NAMES[str(array.dtype)], "shape": list(array.shape), "data_offsets": offsets}
        content += array.tobytes()
    edit(table)
    header = json.dumps(table).encode() if header is None else header
    length = len(header) if length is None else length
    path.write_bytes(length.to_bytes(8, "little") + header + (content if data is None else data(content)))
    return path


def test_what_is_written_is_read(tmp_path):
    found = places(write(tmp_path / "x.safetensors"))
    assert {name: shape for name, (_, _, shape, _) in found.items()} == {n: a.shape for n, a in ARRAYS.items()}
    for name, array in ARRAYS.items():
        assert np.array_equal(read(found[name]), array)


def test_what_the_library_writes(tmp_path):
    torch = pytest.importorskip("torch")
    library = pytest.importorskip("safetensors.torch")
    tensors = {name: torch.from_numpy(array.copy()) for name, array in ARRAYS.items()}
    tensors["brain"] = torch.from_numpy(ARRAYS["a"]).to(torch.bfloat16)
    library.save_file(tensors, tmp_path / "x.safetensors")
    found = places(tmp_path / "x.safetensors")
    assert set(found) == set(tensors)
    for name, tensor in tensors.items():
        expected = tensor.float().numpy() if name == "brain" else tensor.numpy()
        assert np.array_equal(read(found[name]), expected)


def entry(**values):
    return lambda header: header["a"].update(values)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"header": b"{"}, "is no safetensors file"),
        ({"header": b"[]"}, "no table of tensors"),
        ({"header": b"[" * 100_000}, "is no safetensors file"),
        ({"length": 2**62}, "is no safetensors file, or is cut short"),
        ({"data": lambda data: data[:-1]}, "copy or download it again"),
        ({"data": lambda data: data + b"x"}, "copy or download it again"),
        ({"edit": lambda header: header.pop("half")}, "not where the one before ends"),
        ({"edit": entry(dtype="F8_E4M3")}, "dtype 'F8_E4M3'"),
        ({"edit": entry(dtype=["F32"])}, "dtype"),
        ({"edit": entry(shape=[2, 4])}, "do not fit"),
        ({"edit": entry(shape=[-2, -3])}, "lacks a shape"),
        ({"edit": entry(shape=[True, 6])}, "lacks a shape"),
        ({"edit": entry(shape=[2**40, 2**40])}, "do not fit"),
        ({"edit": entry(data_offsets=[0])}, "do not fit"),
        ({"edit": entry(data_offsets=[4, 28])}, "not where the one before ends"),
        ({"edit": entry(data_offsets=None)}, "lacks"),
        ({"edit": lambda header: header.update(a=[])}, "lacks"),
        ({"edit": lambda header: header.update(b=header["a"])}, "not where the one before ends"),
    ],
)
def test_damage(damage, message, tmp_path):
    with pytest.raises(CheckpointError, match=message) as error:
        places(write(tmp_path / "x.safetensors", **damage))
    assert "\n" not in str(error.value)


def test_no_file(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"PK")
    with pytest.raises(CheckpointError, match="cut short"):
        places(tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match="is no safetensors file"):
        places(tmp_path / "y.safetensors")
