"""What a modality writes is read back, by Pillow and NumPy, as what it was given; or nothing is written."""

import os
import re

import numpy as np
import pytest
from PIL import Image, ImageSequence

from kerasgen import pictures
from kerasgen.errors import InputError
from kerasgen.modalities import Images, Tokens, Vectors, Videos

RNG = np.random.default_rng(0)


def pixels(*shape):
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def read(path, channels):
    """The frames of a picture, uint8 `[T, H, W, channels]`."""
    with Image.open(path) as image:
        frames = [np.asarray(frame.convert("L" if channels == 1 else "RGB")) for frame in ImageSequence.Iterator(image)]
    return np.stack(frames).reshape(len(frames), image.height, image.width, channels)


@pytest.fixture(params=[(Images, (5, 4, 1)), (Images, (60, 57, 3)), (Videos, (12, 5, 4, 1)), (Videos, (3, 9, 9, 3))])
def drawn(request):
    """A modality and five examples of at most 9 colours a frame."""
    kind, shape = request.param
    return kind(shape), pixels(9, shape[-1])[RNG.integers(0, 9, (5, *shape[:-1]))]


def tiles(picture, side, num, columns):
    """The first `num` tiles `[height, width]`, enlarged to at least 56 pixels, of a grid, at their own size again."""
    height, width = side
    scale = -(-56 // min(side))
    for index in range(num):
        top = 2 + index // columns * (height * scale + 2)
        left = 2 + index % columns * (width * scale + 2)
        yield picture[top : top + height * scale : scale, left : left + width * scale : scale]


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("columns", [None, 2])
def test_grids(drawn, real, columns, tmp_path):
    modality, x = drawn
    modality.write(x / np.float32(255.0) if real else x, tmp_path / "made" / "grid.png", columns)
    if isinstance(modality, Videos):
        num_frames = modality.shape[0]
        shown = [0, 1, 2, 4, 5, 6, 7, 9, 10, 11] if num_frames == 12 else [0, 1, 2]
        columns = len(shown) * (columns or 1)
        x = x[:, shown].reshape(-1, *modality.shape[1:])
    (picture,) = read(tmp_path / "made" / "grid.png", x.shape[-1])
    np.testing.assert_array_equal(list(tiles(picture, x.shape[1:3], len(x), columns or 3)), x)
    assert os.listdir(tmp_path / "made") == ["grid.png"]


def test_folders(drawn, tmp_path):
    modality, x = drawn
    modality.write(x, tmp_path / "folder")
    suffix = ".gif" if isinstance(modality, Videos) else ".png"
    assert sorted(os.listdir(tmp_path / "folder")) == [f"00000{index}{suffix}" for index in range(5)]
    for index in range(5):
        frames = read(tmp_path / "folder" / f"00000{index}{suffix}", x.shape[-1])
        np.testing.assert_array_equal(frames, x[index].reshape(-1, *x.shape[-3:]))


def test_animations(tmp_path):
    x = pixels(3, 12, 8, 8, 1)
    Videos((12, 8, 8, 1)).write(x, tmp_path / "videos.gif", columns=3)
    frames = read(tmp_path / "videos.gif", 1)
    assert len(frames) == 12
    for index, frame in enumerate(frames):
        np.testing.assert_array_equal(list(tiles(frame, (8, 8), 3, 3)), x[:, index])
    with Image.open(tmp_path / "videos.gif") as animation:
        assert animation.info["loop"] == 0  # for ever
        assert animation.info["duration"] == 100


VECTORS = (1e-3 * RNG.standard_normal((5, 3))).astype(np.float32)


@pytest.mark.parametrize(
    ("modality", "x"),
    [
        (Images((4, 5, 2)), pixels(3, 4, 5, 2)),
        (Videos((2, 4, 5, 3)), RNG.random((3, 2, 4, 5, 3), np.float32)),
        (Vectors((3,)), VECTORS),
        (Tokens((4,), "ab"), RNG.integers(0, 2, (3, 4), dtype=np.int32)),
    ],
)
def test_arrays(modality, x, tmp_path):
    modality.write(list(x), tmp_path / "x.npy")
    read = np.load(tmp_path / "x.npy")
    assert read.dtype == x.dtype
    np.testing.assert_array_equal(read, x)


def test_vectors_as_csv(tmp_path):
    Vectors((3,)).write(VECTORS, tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text().startswith("x0,x1,x2\n")
    for dtype in (np.float32, np.float64):  # to the same bits in either
        read = np.loadtxt(tmp_path / "x.csv", dtype, delimiter=",", skiprows=1)
        np.testing.assert_array_equal(read, VECTORS)


def test_tokens_as_text(tmp_path):
    tokens = Tokens((3,), ["the ", "end", "\n", "\\", "é"])
    tokens.write([[0, 1, 4], [2, 3, 0]], tmp_path / "x.txt")
    assert (tmp_path / "x.txt").read_bytes() == "the endé\n\\n\\\\the \n".encode()
    with pytest.raises(InputError, match=r"tokens range over -1\.\.0"):
        tokens.write([[0, 0, -1]], tmp_path / "y.txt")
    assert os.listdir(tmp_path) == ["x.txt"]


@pytest.mark.parametrize(
    ("modality", "name", "message"),
    [
        (Images((4, 4, 1)), "x.jpg", "x.jpg ends in .jpg; expected .png or .npy or a folder."),
        (Images((4, 4, 2)), "x.png", "x.png ends in .png; expected .npy."),
        (Images((4, 4, 1)), "folder.png", "folder.png is a folder; expected .png or"),
        (Videos((2, 4, 4, 1)), "file", "file is a file; expected .gif or .mp4 or .png or .npy or a folder."),
        (Vectors((3,)), "x", "x ends in no suffix; expected .csv or .npy."),
        (Tokens((3,), "ab"), "x.png", "x.png ends in .png; expected .txt or .npy."),
    ],
)
def test_refuses_outputs(modality, name, message, tmp_path):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()
    before = sorted(os.listdir(tmp_path))
    for refused in (modality.check_output, lambda path: modality.write([], path)):
        with pytest.raises(InputError, match=re.escape(message)):
            refused(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize(("modality", "suffix"), [(Vectors((3,)), ".csv"), (Tokens((3,), "ab"), ".txt")])
def test_no_picture(modality, suffix):
    assert not modality.drawable
    x = np.zeros((2, 3), modality.dtype)
    with pytest.raises(InputError, match=f"{modality.noun} have no picture; .* written to {suffix} or .npy"):
        modality.grid(x)


@pytest.mark.parametrize("channels", [1, 3])
def test_drawable(channels):
    x = pixels(2, 4, 4, channels)
    modality = Images((4, 4, channels))
    assert modality.drawable and not Images((4, 4, 2)).drawable
    np.testing.assert_array_equal(modality.grid(x), pictures.grid(x / np.float32(255.0)))


@pytest.mark.parametrize("name", ["x.png", "x.gif", "x.npy", "x.csv"])
def test_a_failed_write_leaves_nothing(name, tmp_path, monkeypatch):
    modality = Vectors((3,)) if name == "x.csv" else Videos((2, 4, 4, 1))
    x = VECTORS if name == "x.csv" else pixels(3, 2, 4, 4, 1)
    (tmp_path / name).write_text("as before")

    def fail(*args):
        raise OSError("no space")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        modality.write(x, tmp_path / name)
    assert os.listdir(tmp_path) == [name]
    assert (tmp_path / name).read_text() == "as before"
