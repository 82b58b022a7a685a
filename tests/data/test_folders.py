"""Folders of images as users have them: what is read, how it lies, what is a split and what a class."""

import collections
import io
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from kerasgen import data
from kerasgen.data.folders import split_of
from kerasgen.data.images import decode, header, suffixes
from kerasgen.errors import DatasetError


def photo(path, value=None, size=(8, 6), **settings):
    """A picture of one colour, or of noise, at a path whose folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    image = Image.fromarray(pixels) if value is None else Image.new("L", size, value)
    image.save(path, **settings)
    return path


def photos(root, *paths):
    """Pictures at these paths below `root`, whose gray values count from 1."""
    for value, path in enumerate(paths, 1):
        photo(root / path, value)
    return root


def values(source, split="train", **settings):
    """Gray values of the images of a split, and their labels."""
    images, labels = data.load_arrays(source, split, channels=1, **settings)
    return images[:, 0, 0, 0].tolist(), None if labels is None else labels.tolist()


# Orientation, as EXIF 2.3 defines it: what the stored array is upright.

UPRIGHT = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),  # clockwise
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: np.rot90(x),
}


@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "jpg"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_orientation(orientation, suffix, tmp_path):
    """Of the pixels, the size and the crop, in files and in encoded bytes."""
    stored = np.zeros((24, 40, 3), np.uint8)
    stored[:8, :16] = 200, 30, 90  # a corner
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(stored).save(path, exif=exif, lossless=True, quality=100)
    upright = UPRIGHT[orientation](stored).astype(int)
    for encoded in (path, path.read_bytes()):
        decoded = np.asarray(decode(encoded)).astype(int)
        assert header(encoded) == decoded.shape == upright.shape
        assert np.abs(decoded - upright).mean() < 2.0
    crop = data.load_arrays(path, "all", (24, 12))[0][0].astype(int)
    plain = data.load_arrays(upright[None].astype(np.uint8), "all", (24, 12))[0][0]
    assert np.abs(crop - plain).mean() < 2.0


def test_damaged_exif_is_no_orientation(tmp_path):
    path = photo(tmp_path / "x.png", 7, exif=b"Exif\0\0no such thing")
    assert header(path) == (6, 8, 1)
    assert np.asarray(decode(path)).max() == 7


# Formats


def test_all_that_pillow_writes_and_reads(tmp_path):
    """In upper case too, and what a plugin adds; not what Pillow knows by name alone."""
    forms = {suffix: form for suffix, form in Image.registered_extensions().items() if suffix in suffixes()}
    written = [
        suffix for suffix, form in forms.items() if form in Image.SAVE and form != "IM"
    ]  # which Pillow deprecates
    assert {".gif", ".tif", ".tiff", ".avif", ".jfif", ".ppm", ".ico", ".mpo", ".webp", ".bmp", ".jp2"} <= set(written)
    assert not {".pdf", ".mpg", ".h5", ".eps", ".wmf", ".heic", ".txt", ".mp4", ".npy"} & set(forms)
    for index, suffix in enumerate(written):
        mode = {"MSP": "1", "XBM": "1", "BLP": "P"}.get(forms[suffix], "RGB")
        image = Image.new(mode, (16, 16), 1)
        image.save(tmp_path / f"{index:02d}{suffix.upper()}", forms[suffix])
    assert len(data.load_arrays(tmp_path, image_size=16, channels=3)[0]) == len(written)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(Image.EXTENSION, ".heic", "PNG")
        assert ".heic" in suffixes()


def test_the_first_frame(tmp_path):
    frames = [Image.new("L", (8, 6), value) for value in (10, 200)]
    for suffix in ("gif", "tiff", "png", "webp"):
        frames[0].save(tmp_path / f"x.{suffix}", save_all=True, append_images=frames[1:], lossless=True)
    assert values(tmp_path)[0] == [10] * 4


def encoded(image, form="tiff", **settings):
    buffer = io.BytesIO()
    image.save(buffer, form, **settings)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("image", "form", "pixels"),
    [
        (Image.fromarray(np.array([[0x1234, 0xFFFF]], np.uint16)), "tiff", [0x12, 0xFF]),
        (Image.fromarray(np.array([[0x1234, 0xFFFF]], np.uint16)), "ppm", [0x12, 0xFF]),
        (Image.fromarray(np.array([[0.0, 1.0]], np.float32)), "tiff", [0, 255]),
        (Image.new("CMYK", (2, 1), (0, 255, 255, 0)), "tiff", [255, 0, 0] * 2),
        (Image.new("CMYK", (2, 1), (0, 255, 255, 0)), "jpeg", [255, 0, 0] * 2),
        (Image.new("PA", (2, 1), (0, 0)), "tiff", [255, 255, 255] * 2),
        (Image.new("RGBA", (2, 1), (0, 0, 0, 51)), "webp", [204, 204, 204] * 2),
    ],
)
def test_modes(image, form, pixels):
    bytes_ = encoded(image, form, **({"lossless": True} if form == "webp" else {}))
    found = np.asarray(decode(bytes_)).ravel()
    np.testing.assert_allclose(found, pixels, atol=1)
    assert header(bytes_) == (1, 2, len(pixels) // 2)


def test_16_bits_with_a_transparent_value():
    image = Image.fromarray(np.array([[0x1234, 0x4321]], np.uint16))
    assert np.asarray(decode(encoded(image, "png", transparency=0x1234))).tolist() == [[255, 0x43]]


@pytest.mark.parametrize(
    "x", [np.full((2, 2), 300.0, np.float32), np.full((2, 2), np.nan, np.float32), np.ones((2, 2), np.int32)]
)
def test_numbers_without_a_known_white(x, tmp_path):
    Image.fromarray(x).save(tmp_path / "x.tif")
    with pytest.raises(DatasetError, match=r"x\.tif cannot be decoded .*expected"):
        data.load_arrays(tmp_path)


def test_an_image_file_is_a_source(tmp_path):
    path = photo(tmp_path / "x.jpg", 100)
    images, labels = data.load_arrays(path, image_size=4, channels=3)
    assert (images.shape, labels) == ((1, 4, 4, 3), None)
    (tmp_path / "x.txt").write_text("not a picture")
    with pytest.raises(DatasetError, match=r"x\.txt cannot be decoded"):
        data.load_arrays(str(tmp_path / "x.txt"))


# What is left out


def test_what_is_left_out_is_told_once(tmp_path):
    photos(tmp_path, "bee/0.png", "cat/0.png")
    for name in ("ant/a.heic", "ant/b.HEIC", "cat/notes.txt", "cat/README", "cat/.DS_Store", "cat/Thumbs.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"?")
    with pytest.warns(UserWarning) as told:
        assert values(tmp_path) == ([1, 2], [1, 2])
    (warning,) = told
    for part in (
        "left out 4 files of",
        ".heic 2",
        ".txt 1",
        "no suffix 1",
        "ant/a.heic",
        "classes ['ant'] have no image",
    ):
        assert part in str(warning.message)
    (tmp_path / "bee" / "0.png").unlink()
    (tmp_path / "cat" / "0.png").unlink()
    with pytest.raises(DatasetError, match=r"has no images; it has \.heic 2, .*expected files"):
        data.load(tmp_path)


def test_an_empty_class_keeps_its_number(tmp_path):
    photos(tmp_path, "bee/0.png", "dog/0.png")
    (tmp_path / "cat").mkdir()
    assert values(tmp_path) == ([1, 2], [0, 2])
    assert data.class_names(tmp_path) == ["bee", "cat", "dog"]


# Links


def test_links_are_followed_and_loops_are_not(tmp_path):
    photos(tmp_path / "store", "cats/0.png", "more/1.png", "one.png")
    root = photos(tmp_path / "set", "dogs/0.png")
    for link, target in (
        ("cats", "../store/cats"),
        ("dogs/more", "../../store/more"),
        ("dogs/one.png", "../../store/one.png"),
        ("up", ".."),  # around the folder itself
        ("dogs/here", "../../set"),
        ("dogs/itself", "itself"),
    ):
        os.symlink(target, root / link)
    with pytest.warns(UserWarning, match=r"left out 1 file of .*broken link 1, such as .*itself"):
        assert values(root) == ([1, 1, 2, 3], [0, 1, 1, 1])
    (root / "dogs" / "itself").unlink()
    assert data.class_names(root) == ["cats", "dogs"]


def test_each_real_folder_is_read_once(tmp_path):
    root = photos(tmp_path / "set", "z/0.png", "z/1.png")
    os.symlink("z", root / "a")
    assert values(root) == ([1, 2], [1, 1])
    os.symlink(root / "z", tmp_path / "link")
    assert values(tmp_path / "link")[0] == [1, 2]


def test_a_split_that_is_a_link(tmp_path):
    photos(tmp_path, "train/a/0.png", "test/a/1.png")
    os.symlink("test", tmp_path / "val")
    assert values(tmp_path, "validation") == values(tmp_path, "test") == ([2], [0])


# Splits and classes


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *[(name, "train") for name in ("train", "Train", "TRAIN", "training", "train_set", "Training Images")],
        *[(name, "validation") for name in ("val", "Valid", "validation", "dev", "val-set", "VALIDATION")],
        *[(name, "test") for name in ("test", "Testing", "eval", "Evaluation", "test_data", "testset")],
        *[(name, None) for name in ("trains", "tests", "cats", "validity", "contest", "devil", "1", "")],
    ],
)
def test_spellings(name, split):
    assert split_of(name) == split


@pytest.mark.parametrize("names", [("Train", "Test"), ("training", "val"), ("TRAIN", "dev"), ("train", "eval")])
def test_splits_are_no_classes(names, tmp_path):
    photos(tmp_path, *(f"{name}/{kind}/0.png" for name in names for kind in ("cat", "dog")))
    held_out = split_of(names[1])
    assert values(tmp_path) == values(tmp_path, names[0]) == ([1, 2], [0, 1])
    assert values(tmp_path, held_out) == values(tmp_path, names[1].upper()) == ([3, 4], [0, 1])
    assert sorted(zip(*values(tmp_path, "all"), strict=True)) == [(1, 0), (2, 1), (3, 0), (4, 1)]
    assert data.class_names(tmp_path) == ["cat", "dog"]
    assert data.recipe_splits(tmp_path) == {"train": "train", "validation": held_out, "test": held_out}
    with pytest.raises(DatasetError, match=r"no split 'colour'; expected one of \['train', '" + held_out):
        data.load(tmp_path, "colour")


def test_classes_have_one_number_in_all_splits(tmp_path):
    photos(tmp_path, "train/ant/0.png", "train/cat/0.png", "test/cat/0.png", "val/bee/0.png", "val/cat/0.png")
    (tmp_path / "test" / "dog").mkdir()
    assert values(tmp_path, "train") == ([1, 2], [0, 2])
    assert values(tmp_path, "test") == ([3], [2])
    assert values(tmp_path, "validation") == ([4, 5], [1, 2])
    for split in ("train", "test", "validation"):
        assert data.class_names(tmp_path, split) == ["ant", "bee", "cat", "dog"]


def test_splits_of_other_names_share_their_numbers_too(tmp_path):
    photos(tmp_path, "first/a/0.png", "first/b/0.png", "second/b/0.png")
    assert values(tmp_path, "second") == ([3], [1])


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (("train/a/0.png", "Training/a/0.png"), r"has (train/ and Training/|Training/ and train/), either"),
        (("train/a/0.png", "TRAIN/a/0.png", "test/a/0.png"), "either of which may be the train split"),
        (("train/0.png", "cats/0.png"), r"train/, named like splits, and beside them images, such as cats/"),
        (("Test/0.png", "Train/0.png", "stray.jpg"), r"Test/, Train/, named like splits.* such as stray\.jpg"),
        (("cats/train/0.png", "cats/test/0.png", "dogs/train/0.png"), r"cats has the splits \['test', 'train'\] in it"),
        (("set/train/a/0.png", "set/val/a/0.png"), r"give .*set as the source"),
    ],
)
def test_what_may_be_a_split_or_a_class(paths, message, tmp_path):
    photos(tmp_path, *paths)
    for call in (data.load_arrays, data.class_names, data.steps_per_epoch):
        settings = {"batch_size": 1} if call is data.steps_per_epoch else {}
        with pytest.raises(DatasetError, match=message):
            call(tmp_path, "train", **settings)
    with pytest.raises(DatasetError, match=message):
        data.recipe_splits(tmp_path)
    assert len(values(tmp_path, "all", labels=False)[0]) == len(paths)


def test_empty_folders_named_like_splits_are_none(tmp_path):
    photos(tmp_path, "cats/0.png", "dogs/0.png")
    (tmp_path / "dev").mkdir()
    assert values(tmp_path, "all")[0] == [1, 2]
    photos(tmp_path / "train", "0.png")
    shutil.rmtree(tmp_path / "cats")
    shutil.rmtree(tmp_path / "dogs")
    assert data.recipe_splits(tmp_path)["test"] == "train[90%:]"
    assert values(tmp_path) == ([1], None)


# Parts


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    """400 pictures, a quarter of them of the first class by name."""
    root = tmp_path_factory.mktemp("classes")
    for index in range(400):
        photo(root / ("a" if index % 4 == 0 else "b") / f"{index:03d}.bmp", index % 256, (2, 2))
    return root


def paths(source, split):
    """Names of the files of a split: the numbers of the pictures of `classes`."""
    from kerasgen.data.opening import open_source

    return [path.name for path in open_source(source, split).images]


def test_nine_tenths_and_one(classes):
    splits = data.recipe_splits(classes)
    train, rest = paths(classes, splits["train"]), paths(classes, splits["test"])
    assert splits["validation"] == splits["test"]
    assert (len(train), len(rest)) == (360, 40)
    assert sorted(train + rest) == sorted(paths(classes, "all"))
    labels = data.load_arrays(classes, splits["test"])[1]
    share = collections.Counter(labels.tolist())[0] / 40  # expected 1/4, of standard deviation 0.065
    assert 0.05 < share < 0.45
    assert labels.tolist() == sorted(labels.tolist())  # in the order of the paths
    assert paths(classes, splits["test"]) == rest


def test_parts_stay_when_files_are_added(classes, tmp_path):
    root = shutil.copytree(classes, tmp_path / "elsewhere")
    before = set(paths(classes, "train[90%:]"))
    assert before == set(paths(root, "train[90%:]"))
    for index in range(40):
        photo(root / "b" / f"new{index}.bmp", 1, (2, 2))
    after = set(paths(root, "train[90%:]"))
    assert len(after) == 44
    assert len(before - after) <= 8  # those next to the border alone


def test_parts_of_a_split(tmp_path):
    photos(tmp_path, *(f"Training/{kind}/{index}.png" for kind in "ab" for index in range(10)))
    splits = data.recipe_splits(tmp_path)
    assert [len(values(tmp_path, split)[0]) for split in splits.values()] == [18, 2, 2]
    assert {*values(tmp_path, splits["train"])[0]} | {*values(tmp_path, splits["test"])[0]} == {*range(1, 21)}


def test_recipe_splits_of_other_sources(tmp_path):
    assert data.recipe_splits("mnist") is None
    assert data.recipe_splits(np.zeros((2, 4, 4), np.uint8)) is None
    photos(tmp_path, "train/0.png", "val/0.png", "test/0.png")
    assert data.recipe_splits(str(tmp_path)) == {"train": "train", "validation": "validation", "test": "test"}
    assert [data.default_split(s) for s in ("mnist", tmp_path, tmp_path / "val")] == ["test", "test", "all"]


def test_one_corrupt_file_among_many(classes, tmp_path):
    root = shutil.copytree(classes, tmp_path / "copy")
    (root / "b" / "201.bmp").write_bytes((root / "b" / "201.bmp").read_bytes()[:20])
    with pytest.raises(DatasetError, match=r"b/201\.bmp cannot be decoded"):
        data.load(root, image_size=2, channels=1)
    (root / "b" / "201.bmp").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"b/201\.bmp cannot be decoded"):
        data.load(root, image_size=2, channels=1)
