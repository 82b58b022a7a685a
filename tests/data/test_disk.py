"""Decoded images on disk: what is in memory otherwise, without the split in memory."""

import numpy as np
import pytest

from kerasgen import data
from kerasgen.data.disk import on_disk
from kerasgen.data.opening import open_source
from kerasgen.errors import DatasetError
from tests.model_case import write_pictures

tf = pytest.importorskip("tensorflow")


@pytest.fixture
def folder(tmp_path):
    write_pictures(tmp_path / "pictures")
    return tmp_path / "pictures"


def batches(dataset):
    return [tuple(part.numpy() for part in batch) for batch in dataset]


def test_it_gives_what_memory_does(folder, tmp_path):
    settings = {"split": "train", "image_size": 6, "batch_size": 7, "shuffle": True, "flip": True, "seed": 3}
    expected = batches(data.load(folder, **settings, cache=True))
    for _ in "again":
        found = batches(data.load(folder, **settings, cache=tmp_path / "cache"))
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            for a, b in zip(one, other, strict=True):
                np.testing.assert_array_equal(a, b)


def test_the_second_time_nothing_is_decoded(folder, tmp_path):
    on_disk(open_source(folder, "train").brought_to((8, 8), 1), tmp_path / "cache")
    for path in folder.rglob("*.png"):
        path.write_bytes(b"no picture")
    again = on_disk(open_source(folder, "train").brought_to((8, 8), 1), tmp_path / "cache")
    assert again.stack(range(24)).shape == (24, 8, 8, 1)
    with pytest.raises(DatasetError, match="holds the images of"):
        on_disk(open_source(folder, "train").brought_to((6, 6), 1), tmp_path / "cache")
    (tmp_path / "cache" / "images.npy").write_bytes(b"damaged")
    with pytest.raises(DatasetError, match="remove it"):
        on_disk(open_source(folder, "train").brought_to((8, 8), 1), tmp_path / "cache")


def test_a_split_is_read_once_and_not_held(tmp_path):
    """Of a TFDS data set, with attributes, of which some are taken."""
    tfds = pytest.importorskip("tensorflow_datasets")
    rng = np.random.default_rng(0)
    features = {
        "image": tfds.features.Image(shape=(4, 4, 1)),
        "traits": tfds.features.Tensor(shape=(3,), dtype=np.bool_),
    }
    examples = [
        {"image": rng.integers(0, 256, (4, 4, 1), dtype=np.uint8), "traits": rng.integers(0, 2, 3).astype(bool)}
        for _ in range(300)
    ]
    settings = {"features": tfds.features.FeaturesDict(features), "data_dir": tmp_path / "data"}
    splits = {"train": list(enumerate(examples))}
    tfds.dataset_builders.store_as_tfds_dataset("faces", "1.0.0", split_datasets=splits, **settings)
    path = tmp_path / "data" / "faces" / "1.0.0"
    source, other = (open_source(path, "train", "traits").with_columns([2, 0]) for _ in range(2))
    kept = on_disk(source, tmp_path / "cache")
    assert "contents" not in vars(source)
    np.testing.assert_array_equal(kept.stack(range(300)), other.stack(range(300)))
    np.testing.assert_array_equal(kept.labels, other.labels)
    assert isinstance(kept.images, np.memmap)


def test_processes_take_parts_of_each_batch(folder):
    whole = batches(data.load(folder, "train", 8, 8, shuffle=True))
    parts = [batches(data.load(folder, "train", 8, 8, shuffle=True, shard=(number, 3))) for number in range(3)]
    for index, batch in enumerate(whole):
        for place, expected in enumerate(batch):
            np.testing.assert_array_equal(np.concatenate([part[index][place] for part in parts]), expected)
    with pytest.raises(data.opening.InputError, match=r"shard is \(3, 3\)"):
        data.load(folder, "train", 8, 8, shard=(3, 3))
