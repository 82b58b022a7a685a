"""Sources, crops and orders of `kerasgen.data`."""

import io
import os
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from kerasgen import data
from kerasgen.data.images import crop_box, decode, header, prepare_array
from kerasgen.errors import DatasetError, InputError

tf = pytest.importorskip("tensorflow")


def numbered(num, size=4):
    """Images whose pixels are their index, except the top left one, which is 255."""
    x = np.repeat(np.arange(num, dtype=np.uint8), size * size).reshape(num, size, size, 1).copy()
    x[:, 0, 0] = 255
    return x


def order(dataset, batches=None):
    """Indices of the images of `numbered`, batch by batch."""
    dataset = dataset if batches is None else dataset.take(batches)
    return [(b[0] if isinstance(b, tuple) else b).numpy()[:, 1, 1, 0].tolist() for b in dataset]


# Order


def test_plain_order_and_the_last_batch():
    dataset = data.load(numbered(10), batch_size=4)
    assert order(dataset) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len(dataset) == data.steps_per_epoch(numbered(10), "train", 4) == 3
    assert dataset.element_spec.shape.as_list() == [None, 4, 4, 1]
    assert order(data.load(numbered(10), batch_size=4, drop_remainder=True)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert data.steps_per_epoch(numbered(10), "train", 4, drop_remainder=True) == 2


@pytest.mark.parametrize("cache", [False, True])
def test_shuffling_is_a_function_of_seed_and_epoch(cache):
    def load(**arguments):
        return data.load(numbered(10), batch_size=4, shuffle=True, seed=3, cache=cache, **arguments)

    whole = order(load(repeat=True), 9)
    epochs = [[i for batch in whole[3 * e : 3 * e + 3] for i in batch] for e in range(3)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    for first in (1, 2):
        assert order(load(repeat=True, first_epoch=first), 3) == whole[3 * first : 3 * first + 3]
    again = load()
    assert [order(again), order(again)] == [whole[:3], whole[3:6]]
    assert order(data.load(numbered(10), batch_size=4, shuffle=True, seed=4, cache=cache)) != whole[:3]


def test_domains():
    """Each kind in an order of its own, all of the larger one seen in time; the same from any epoch on."""
    classes = np.array([0, 1, 2, 1, 0, 2, 0, 0, 1, 2, 0])
    attributes = np.eye(3, dtype=bool)[classes]
    without, inside = [0, 2, 4, 5, 6, 7, 9, 10], [1, 3, 8]
    for labels in (classes, attributes):
        pair = data.load_domain_arrays((numbered(11), labels), domain=1)
        assert [kind[:, 1, 1, 0].tolist() for kind in pair] == [without, inside]

    def load(**arguments):
        found = data.load_domains((numbered(11), classes), batch_size=2, domain=1, seed=3, **arguments)
        assert [spec.shape.as_list() for spec in found.element_spec] == [[2, 4, 4, 1]] * 2
        return found

    def batches(dataset):
        return [[kind.numpy()[:, 1, 1, 0].tolist() for kind in pair] for pair in dataset]

    assert len(load()) == 1
    assert batches(load()) == [[[0, 2], [1, 3]]]
    whole = batches(load(shuffle=True, repeat=True).take(40))
    seen = [{index for pair in whole for index in pair[kind]} for kind in (0, 1)]
    assert seen == [set(without), set(inside)]
    assert batches(load(shuffle=True, repeat=True, first_epoch=7).take(3)) == whole[7:10]
    for labels, domain, error, message in (
        (None, 1, DatasetError, "no labels"),
        (classes, 3, DatasetError, "on one side"),
        (attributes, 3, DatasetError, "attributes 0 to 2"),
        (classes, -1, InputError, "domain is -1"),
    ):
        with pytest.raises(error, match=message):
            data.load_domains(numbered(11) if labels is None else (numbered(11), labels), domain=domain)


def test_flips_follow_the_epoch_and_the_example():
    def flipped(first, num):
        dataset = data.load(
            numbered(64), batch_size=16, shuffle=True, flip=True, repeat=True, seed=1, first_epoch=first
        )
        marks = {}
        for batch in dataset.take(num):
            for image in batch.numpy():
                marks.setdefault(int(image[1, 1, 0]), []).append(bool(image[0, -1, 0] == 255))
                assert (image[0, 0, 0] == 255) != (image[0, -1, 0] == 255)
        return [marks[i] for i in range(64)]

    two = flipped(0, 8)
    assert [m[1:] for m in two] == flipped(1, 4)
    share = np.mean(two)
    assert 0.35 < share < 0.65
    assert any(a != b for a, b in two)


def test_flips_do_not_depend_on_order_or_batches():
    def flipped(**arguments):
        dataset = data.load(numbered(40), flip=True, seed=5, first_epoch=2, repeat=True, **arguments)
        dataset = dataset.unbatch().take(40)
        return {int(image[1, 1, 0]): bool(image[0, -1, 0] == 255) for image in dataset.as_numpy_iterator()}

    reference = flipped(batch_size=40)
    assert len(reference) == 40
    assert flipped(batch_size=7) == reference
    assert flipped(batch_size=8, shuffle=True) == reference
    assert flipped(batch_size=8, shuffle=True, cache=True) == reference


def test_a_flip_mirrors_left_to_right_alone():
    x = np.arange(3 * 5 * 3, dtype=np.uint8).reshape(1, 3, 5, 3).repeat(30, axis=0)
    (batch,) = data.load(x, batch_size=30, flip=True)
    mirrored = [(image == x[0][:, ::-1]).all() for image in batch.numpy()]
    kept = [(image == x[0]).all() for image in batch.numpy()]
    assert any(mirrored)
    assert any(kept)
    assert np.logical_xor(mirrored, kept).all()


def test_remainders_are_dropped_in_each_epoch():
    endless = data.load(numbered(10), batch_size=4, shuffle=True, drop_remainder=True, repeat=True)
    batches = order(endless, 6)
    for first in (0, 2, 4):
        seen = batches[first] + batches[first + 1]
        assert len(set(seen)) == len(seen) == 8
    kept = order(data.load(numbered(10), batch_size=4, repeat=True), 4)
    assert kept == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9], [0, 1, 2, 3]]
    assert endless.element_spec.shape.as_list() == [4, 4, 4, 1]


def test_labels_stay_with_their_images():
    dataset = data.load((numbered(20), np.arange(20) * 3), batch_size=6, shuffle=True, flip=True)
    for images, labels in dataset:
        assert labels.numpy().tolist() == (images.numpy()[:, 1, 1, 0].astype(int) * 3).tolist()
        assert labels.dtype == tf.int32


# Images


def bicubic(array, size):
    """Antialiased bicubic (Keys, a = -1/2) resize of `[length, ...]` along its first axis, in float."""
    scale = len(array) / size
    support = max(scale, 1.0)
    t = np.abs((np.arange(len(array)) + 0.5)[None] - (np.arange(size) + 0.5)[:, None] * scale) / support
    near, far = 1.5 * t**3 - 2.5 * t**2 + 1, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
    weights = np.where(t < 1, near, np.where(t < 2, far, 0.0))
    weights /= weights.sum(axis=1, keepdims=True)
    return np.clip(np.tensordot(weights, array.astype(float), 1), 0, 255)


@pytest.mark.parametrize(
    ("shape", "size", "box"),
    [
        ((24, 24), (7, 7), (0, 24, 0, 24)),
        ((24, 40), (8, 8), (0, 24, 8, 32)),  # the middle of the width
        ((41, 20), (10, 10), (10, 30, 0, 20)),  # an odd pixel too many: below
        ((9, 12), (18, 24), (0, 9, 0, 12)),  # enlarged
        ((30, 20), (5, 10), (10, 20, 0, 20)),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_crop_and_resize_against_numpy(shape, size, box, channels):
    x = np.random.default_rng(1).integers(0, 256, (*shape, channels), dtype=np.uint8)
    crop = x[box[0] : box[1], box[2] : box[3]]
    expected = bicubic(bicubic(crop.swapaxes(0, 1), size[1]).swapaxes(0, 1), size[0])
    actual, _ = data.load_arrays(x[None], image_size=size)
    assert actual.dtype == np.uint8
    assert np.abs(actual[0] - expected).max() <= 2.0  # Pillow rounds after each axis
    (batch,) = data.load(x[None], image_size=size)
    np.testing.assert_array_equal(batch.numpy(), actual)


@pytest.mark.parametrize("size", [(5, 7), (7, 5), (64, 64), (1, 1), (33, 128), (200, 3)])
@pytest.mark.parametrize("target", [(4, 4), (3, 9), (9, 3), (64, 64), (1, 1)])
def test_crop_is_centred_within_the_image_and_of_the_right_shape(size, target):
    height, width = size
    left, top, right, bottom = crop_box(width, height, target[1], target[0])
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert abs(left - (width - right)) <= 1
    assert abs(top - (height - bottom)) <= 1
    assert right - left == width or bottom - top == height  # the largest
    assert abs((right - left) * target[0] - (bottom - top) * target[1]) <= max(target)  # the shape, to a pixel


def test_resize_is_antialiased_and_leaves_the_right_size_alone():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert prepare_array(x, (32, 32), 3) is x
    small = prepare_array(x, (4, 4), 3).astype(float)
    means = x.reshape(4, 8, 4, 8, 3).mean(axis=(1, 3))
    assert np.abs(small - means).max() < 40  # subsampling is off by up to 128
    ramp = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[None, :, None], 64, axis=0)
    shrunk = prepare_array(ramp, (16, 16), 1)[8, :, 0].astype(float)
    np.testing.assert_allclose(np.diff(shrunk)[2:-2], 16.0, atol=1.0)
    constant = np.full((9, 7, 1), 200, np.uint8)
    assert (prepare_array(constant, (5, 5), 1) == 200).all()


def test_channels():
    grey = prepare_array(np.full((4, 4, 3), [255, 0, 0], np.uint8), None, 1)
    assert grey.shape == (4, 4, 1)
    assert (grey == 76).all()  # ITU-R 601: 0.299 x 255
    colour = prepare_array(numbered(3)[2], None, 3)
    assert colour.shape == (4, 4, 3)
    assert (colour == numbered(3)[2]).all()


def png(image, **arguments):
    buffer = io.BytesIO()
    image.save(buffer, "png", **arguments)
    return buffer.getvalue()


def grey_with_alpha():
    image = Image.new("LA", (2, 1), (40, 255))
    image.putpixel((1, 0), (40, 0))
    return image


@pytest.mark.parametrize(
    ("encoded", "pixels"),
    [
        (png(Image.new("L", (2, 1), 40)), [[40], [40]]),
        (png(grey_with_alpha()), [[40], [255]]),
        (png(Image.new("L", (2, 1), 40), transparency=40), [[255], [255]]),
        (png(Image.new("1", (2, 1), 1)), [[255], [255]]),
        (png(Image.fromarray(np.array([[0x1234, 0xFFFF]], np.uint16))), [[0x12], [0xFF]]),
        (png(Image.new("RGB", (2, 1), (1, 2, 3))), [[1, 2, 3]] * 2),
        (png(Image.new("RGBA", (2, 1), (1, 2, 3, 0))), [[255] * 3] * 2),
        (png(Image.new("RGB", (2, 1), (1, 2, 3)).quantize(2)), [[1, 2, 3]] * 2),
    ],
)
def test_decoding(encoded, pixels):
    decoded = np.asarray(decode(encoded))
    np.testing.assert_array_equal(decoded.reshape(2, -1), pixels)
    assert header(encoded) == (1, 2, len(pixels[0]))


# Sources


def test_arrays():
    x, y = numbered(6), np.arange(6)
    images, labels = data.load_arrays((x / np.float32(255.0), y))
    np.testing.assert_array_equal(images, x)
    np.testing.assert_array_equal(labels, y)
    assert labels.dtype == np.int32
    assert data.load_arrays(x[..., 0])[0].shape == (6, 4, 4, 1)
    assert data.load_arrays((x, y), labels=False)[1] is None
    assert data.load_arrays((x, y), limit=2)[0].shape[0] == 2
    assert data.load_arrays((x, np.eye(len(y), dtype=bool)))[1].shape == (len(y), len(y))
    batch, labels = next(iter(data.load((x, y), batch_size=6, image_size=2, channels=3)))
    assert batch.shape == (6, 2, 2, 3)
    assert batch.dtype == tf.uint8
    assert labels.numpy().tolist() == list(range(6))


@pytest.fixture
def image_folder(tmp_path):
    """Two classes, several formats and modes, 6 x 8 pixels."""
    root = tmp_path / "pictures"
    for number, (label, mode, suffix) in enumerate(
        [("cat", "L", "png"), ("cat", "RGB", "jpg"), ("dog", "RGBA", "png"), ("dog", "P", "bmp"), ("dog", "1", "png")]
    ):
        (root / label).mkdir(parents=True, exist_ok=True)
        Image.new(mode, (8, 6), 1 if mode in ("P", "1") else None).save(root / label / f"{number}.{suffix}")
    return root


def test_image_folder(image_folder):
    images, labels = data.load_arrays(image_folder, "train", 4, channels=3)
    assert images.shape == (5, 4, 4, 3)
    assert labels.tolist() == [0, 0, 1, 1, 1]
    assert data.class_names(str(image_folder)) == ["cat", "dog"]
    assert (images[2] == 255).all()  # transparent: white
    assert data.load_arrays(image_folder, "train[:40%]", 4, channels=1)[0].shape == (2, 4, 4, 1)
    assert data.load_arrays(image_folder / "cat", "all", channels=1)[1] is None
    batches = list(data.load(image_folder, image_size=(2, 3), channels=1, batch_size=2))
    assert [len(images) for images, _ in batches] == [2, 2, 1]


def test_image_folder_with_splits(image_folder, tmp_path):
    (tmp_path / "set").mkdir()
    image_folder.rename(tmp_path / "set" / "train")
    assert data.load_arrays(tmp_path / "set", "train", 4, channels=1)[1].tolist() == [0, 0, 1, 1, 1]
    with pytest.raises(DatasetError, match="no split 'test'"):
        data.load_arrays(tmp_path / "set", "test", 4)


def test_image_folder_with_a_split_of_any_name(image_folder):
    images, labels = data.load_arrays(image_folder, "cat", 4, channels=1)
    assert len(images) == 2
    assert labels is None
    assert data.load_arrays(image_folder, "cat[1:]", 4, channels=1)[0].shape[0] == 1


def test_hidden_files_are_left_out(image_folder):
    (image_folder / "dog" / "._4.png").write_bytes(b"not a picture")
    (image_folder / ".thumbnails").mkdir()
    Image.new("L", (8, 6)).save(image_folder / ".thumbnails" / "0.png")
    assert data.load_arrays(image_folder, image_size=4, channels=1)[0].shape[0] == 5
    assert data.class_names(image_folder) == ["cat", "dog"]


@pytest.fixture(scope="module")
def tfds_folder(tmp_path_factory):
    """A data set on disk, written by TFDS: 12 images 6 x 4, labels, and a second split."""
    tfds = pytest.importorskip("tensorflow_datasets")
    root = tmp_path_factory.mktemp("tfds")
    x = np.repeat(np.arange(12, dtype=np.uint8), 24).reshape(12, 6, 4, 1)
    splits = {
        split: tf.data.Dataset.from_tensor_slices({"image": x[part], "label": np.arange(12)[part] % 3})
        for split, part in {"train": slice(0, 10), "test": slice(10, 12)}.items()
    }
    features = {"image": tfds.features.Image(shape=(6, 4, 1)), "label": tfds.features.ClassLabel(names=["a", "b", "c"])}
    tfds.dataset_builders.store_as_tfds_dataset(
        "squares", "1.0.0", features=tfds.features.FeaturesDict(features), split_datasets=splits, data_dir=root
    )
    return root


@pytest.mark.parametrize("by_name", [False, True])
def test_tfds(tfds_folder, by_name):
    source = (
        {"source": "squares", "data_dir": str(tfds_folder)}
        if by_name
        else {"source": tfds_folder / "squares" / "1.0.0"}
    )
    images, labels = data.load_arrays(**source, split="train")
    assert images.shape == (10, 6, 4, 1)
    order = images[:, 0, 0, 0].tolist()  # TFDS shuffles when it writes
    assert sorted(order) == list(range(10))
    assert labels.tolist() == [i % 3 for i in order]
    assert data.class_names(**source) == ["a", "b", "c"]
    assert data.load_arrays(**source, split="train[50%:]")[0][:, 0, 0, 0].tolist() == order[5:]
    assert data.load_arrays(**source, split="test", labels=False)[1] is None
    (batch, labels) = next(iter(data.load(**source, split="test", image_size=4, labels="label")))
    assert batch.shape == (2, 4, 4, 1)
    assert labels.numpy().tolist() == (batch[:, 0, 0, 0].numpy() % 3).tolist()
    with pytest.raises(DatasetError, match=r"no split 'validation'; expected one of \['train', 'test'\]"):
        data.load(**source, split="validation")
    with pytest.raises(DatasetError, match="no class label 'colour'"):
        data.load(**source, labels="colour")


def write_tfds(root, name, features, examples):
    """The folder of a data set on disk with one split, "train"."""
    tfds = pytest.importorskip("tensorflow_datasets")
    tfds.dataset_builders.store_as_tfds_dataset(
        name,
        "1.0.0",
        features=tfds.features.FeaturesDict(features),
        split_datasets={"train": list(enumerate(examples))},
        data_dir=root,
    )
    return root / name / "1.0.0"


def test_tfds_counts_and_names_without_reading(tfds_folder, tmp_path):
    shutil.copytree(tfds_folder / "squares" / "1.0.0", tmp_path / "copy")
    for file in (tmp_path / "copy").glob("*tfrecord*"):
        file.write_bytes(b"damaged")
    assert data.steps_per_epoch(tmp_path / "copy", "train[:50%]", 2) == 3
    assert data.steps_per_epoch(tmp_path / "copy", "train+test", 5, drop_remainder=True) == 2
    assert data.class_names(tmp_path / "copy") == ["a", "b", "c"]
    with pytest.raises(DatasetError, match="cannot be read"):
        data.load_arrays(tmp_path / "copy")


def test_tfds_splits_together(tfds_folder):
    images, _ = data.load_arrays("squares", "train+test", data_dir=tfds_folder)
    assert sorted(images[:, 0, 0, 0].tolist()) == list(range(12))
    assert data.load_arrays("squares:1.0.0", "all", data_dir=tfds_folder)[0].shape[0] == 12


def test_tfds_features(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    features = {
        "image": tfds.features.Image(shape=(None, None, 3)),
        "age": tfds.features.Scalar(np.int64),
        "attributes": tfds.features.Tensor(shape=(2,), dtype=np.bool_),
        "sizes": tfds.features.Tensor(shape=(2,), dtype=np.int64),
    }
    examples = [
        # One written in grey, as the JPEG files of many data sets are.
        {
            "image": io.BytesIO(png(Image.new("L", (6, 4), 10 * i))),
            "age": 30 + i,
            "attributes": [True, False],
            "sizes": [6, 4],
        }
        for i in range(2)
    ] + [{"image": np.full((8, 8, 3), 20, np.uint8), "age": 32, "attributes": [True, True], "sizes": [8, 8]}]
    folder = write_tfds(tmp_path, "people", features, examples)
    images, labels = data.load_arrays(folder, image_size=4, labels="age")
    assert images.shape == (3, 4, 4, 3)
    assert labels.dtype == np.int32
    assert dict(zip(labels.tolist(), images[:, 0, 0, 0].tolist(), strict=True)) == {30: 0, 31: 10, 32: 20}
    assert data.class_names(folder, labels="age") is None
    assert data.load_arrays(folder, image_size=4)[1] is None
    images, attributes = data.load_arrays(folder, image_size=4, labels="attributes")
    assert attributes.dtype == np.int32
    assert attributes.tolist() == [[1, int(image[0, 0, 0] == 20)] for image in images]
    assert next(iter(data.load(folder, image_size=4, labels="attributes")))[1].shape == (3, 2)
    with pytest.raises(DatasetError, match=r"'sizes' of .* has shape \(2,\) and dtype .*int"):
        data.load(folder, image_size=4, labels="sizes")
    with pytest.raises(DatasetError, match="give image_size"):
        data.load(folder)


def test_tfds_without_one_image_feature(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    image, number = tfds.features.Image(shape=(2, 2, 1)), tfds.features.Scalar(np.int64)
    x = np.zeros((2, 2, 1), np.uint8)
    none = write_tfds(tmp_path, "none", {"number": number}, [{"number": 1}])
    two = write_tfds(tmp_path, "two", {"left": image, "right": image}, [{"left": x, "right": x}])
    with pytest.raises(DatasetError, match="has 0 image features"):
        data.load(none)
    with pytest.raises(DatasetError, match=r"has 2 image features \(\['left', 'right'\]\)"):
        data.load(two)


def test_tfds_folders_that_cannot_be_opened(tfds_folder, tmp_path):
    with pytest.raises(DatasetError, match=r"give one of the TFDS folders in it, \['.*1\.0\.0'\]"):
        data.load(tfds_folder / "squares")
    (tmp_path / "dataset_info.json").write_text("{")
    with pytest.raises(DatasetError, match="not a readable TFDS folder"):
        data.load(tmp_path)
    with pytest.raises(DatasetError, match="give another version"):
        data.load("squares:2.0.0", data_dir=tfds_folder)


@pytest.mark.parametrize("name", ["pictures/cats", "cats.zip", "no such thing"])
def test_names_of_nothing(name, tmp_path):
    with pytest.raises(DatasetError, match="there is no folder") as error:
        data.load(name, data_dir=tmp_path)
    assert str(tmp_path) in str(error.value)


def test_unknown_name_says_where_it_looked(tfds_folder):
    with pytest.raises(DatasetError, match="did you mean squares"):
        data.load("sqares", data_dir=str(tfds_folder))


def test_failed_download_says_what_to_put_where(tmp_path, monkeypatch):
    tfds = pytest.importorskip("tensorflow_datasets")

    def quota(self, **kwargs):
        raise OSError("Too many users have viewed or downloaded this file recently.")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", quota)
    with pytest.raises(DatasetError) as error:
        data.load("celeb_a", data_dir=str(tmp_path))
    for part in ("celeb_a", str(tmp_path), "Too many users", "folder of images"):
        assert part in str(error.value)


# Errors


@pytest.mark.parametrize(
    ("source", "arguments", "message"),
    [
        (numbered(4), {"image_size": 0}, "image_size"),
        (numbered(4), {"image_size": (4, 4, 1)}, "image_size"),
        (numbered(4), {"image_size": 2.5}, "image_size"),
        (numbered(4), {"batch_size": 0}, "batch_size"),
        (numbered(4), {"seed": -1}, "seed"),
        (numbered(4), {"first_epoch": -1}, "first_epoch"),
        (numbered(4), {"channels": 2}, "channels"),
        (numbered(4)[0, 0], {}, "shape"),
        (np.zeros((2, 4, 4, 2), np.uint8), {}, "shape"),
        (np.zeros((0, 4, 4, 1), np.uint8), {}, "no images"),
        (np.zeros((2, 0, 4, 1), np.uint8), {}, "each at least 1"),
        (numbered(4).astype(np.int64), {}, "dtype int64"),
        (numbered(4).astype(np.float32), {}, r"in \[0, 1\]"),
        (np.full((2, 4, 4, 1), np.nan, np.float32), {}, "NaN"),
        ((numbered(4), np.zeros(3, int)), {}, "4 integers"),
        ((numbered(4), np.zeros(4)), {}, "4 integers"),
        (numbered(4), {"seed": 2**63}, "seed .* at most 9223372036854775807"),
        (numbered(4), {"labels": "colour"}, "None or False"),
        (numbered(4).astype(np.float32) / 255 - 0.1, {}, r"in \[0, 1\]"),
        (7, {}, "int; expected the name"),
        ("mnist", {"split": None}, "split is None"),
    ],
)
def test_bad_arguments(source, arguments, message):
    with pytest.raises(InputError, match=message):
        data.load(source, **arguments)


def test_bad_batches():
    for call in (data.load, data.steps_per_epoch):
        with pytest.raises(InputError, match="batch_size is 0"):
            call(numbered(4), "train", batch_size=0)
        with pytest.raises(DatasetError, match="fewer than a batch"):
            call(numbered(4), "train", batch_size=5, drop_remainder=True)
    with pytest.raises(DatasetError, match=r"no folder \./nowhere"):
        data.load("./nowhere")


def test_bad_files_are_found_before_iterating(image_folder):
    with pytest.raises(DatasetError, match="image_size and channels"):
        data.load(image_folder)
    with pytest.raises(DatasetError, match=r"train\[5:\] has no images"):
        data.load(image_folder, "train[5:]")
    broken = image_folder / "dog" / "broken.png"
    broken.write_bytes(b"not a picture")
    with pytest.raises(DatasetError, match=r"broken\.png cannot be decoded"):
        data.load(image_folder, image_size=4, channels=1)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    broken.write_bytes(png(Image.fromarray(noise))[:500])  # the header is good
    with pytest.raises(DatasetError, match=r"broken\.png cannot be decoded"):
        data.load(image_folder, image_size=4, channels=1, cache=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"broken\.png cannot be decoded"):
        list(data.load(image_folder, image_size=4, channels=1))


def test_bad_folders(image_folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no images"):
        data.load(tmp_path / "empty")
    with pytest.raises(DatasetError, match="image_size and channels"):
        data.load_arrays(image_folder)
    with pytest.raises(DatasetError, match=r"no split 'test'; expected one of \['train', 'all'\]"):
        data.load(image_folder, "test")
    (image_folder / "dog" / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(DatasetError, match=r"broken\.png cannot be decoded"):
        data.load_arrays(image_folder, image_size=4, channels=1)
    (image_folder / "dog" / "broken.png").rename(image_folder / "stray.png")
    with pytest.raises(DatasetError, match=r"beside them, such as stray\.png"):
        data.load(image_folder)


def test_arrays_and_folders_do_not_import_tensorflow(image_folder):
    code = (
        "import sys, numpy as np, kerasgen, kerasgen.data as data\n"
        "data.load_arrays(np.zeros((2, 4, 4), 'uint8'))\n"
        f"data.load_arrays({str(image_folder)!r}, 'train', 4, channels=1)\n"
        "model = kerasgen.Autoencoder((4, 4, 1), 2, encoder='dense', decoder='dense', width=2)\n"
        "model.compile(); model.fit(np.zeros((2, 4, 4, 1), 'uint8'), verbose=0)\n"
        "assert 'tensorflow' not in sys.modules, 'TensorFlow was imported'"
    )
    backend = "jax" if keras.backend.backend() == "tensorflow" else keras.backend.backend()
    pytest.importorskip(backend)
    result = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "KERAS_BACKEND": backend}, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
