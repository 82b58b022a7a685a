"""Pairs made of one data set, and columns of attributes."""

import numpy as np
import pytest
from PIL import Image

from kerasgen import data
from kerasgen.data.pairs import PAIRS
from kerasgen.errors import DatasetError, InputError

tf = pytest.importorskip("tensorflow")


@pytest.fixture
def photos():
    return np.random.default_rng(0).integers(0, 256, (10, 8, 12, 3), dtype=np.uint8)


def test_gray_is_pillows(photos):
    expected = np.stack([np.array(Image.fromarray(photo).convert("L")) for photo in photos])
    found = PAIRS["gray"](photos)
    assert found.shape == (10, 8, 12, 1)
    assert np.abs(found[..., 0].astype(int) - expected).max() <= 1  # of rounding
    np.testing.assert_array_equal(PAIRS["gray"](found), found)


def test_edges_are_where_the_brightness_changes():
    step = np.zeros((1, 8, 8, 3), np.uint8)
    step[:, :, 5:] = 100
    found = PAIRS["edges"](step)[0, :, :, 0]
    np.testing.assert_array_equal(found[:, [4, 5]], 255 - 200)  # half of 4 x 100 on both sides of the step
    np.testing.assert_array_equal(np.delete(found, [4, 5], axis=1), 255)
    np.testing.assert_array_equal(PAIRS["edges"](step.swapaxes(1, 2))[0, :, :, 0], found.T)


def test_small_and_masked(photos):
    found = PAIRS["small"](photos)
    for row, column in ((0, 0), (4, 8)):
        square = (slice(None), slice(row, row + 4), slice(column, column + 4))
        means = photos[square].mean(axis=(1, 2)).round()
        np.testing.assert_array_equal(found[square], np.broadcast_to(means[:, None, None], (10, 4, 4, 3)))
    with pytest.raises(DatasetError, match="4 divides"):
        PAIRS["small"](photos[:, 1:])
    found = PAIRS["masked"](photos)
    inside = np.zeros((8, 12), bool)
    inside[2:6, 3:9] = True
    assert (found[:, inside] == 127).all()
    np.testing.assert_array_equal(found[:, ~inside], photos[:, ~inside])


@pytest.mark.parametrize("pairs", PAIRS)
def test_pairs_are_of_one_image(photos, pairs):
    """Shuffled, flipped and in batches: each is what is made of the image beside it, and epochs differ."""
    how = {"shuffle": True, "flip": True, "seed": 1, "repeat": True}
    seen = []
    for given, images in data.load_pairs(photos, batch_size=4, pairs=pairs, **how).take(6).as_numpy_iterator():
        np.testing.assert_array_equal(given, PAIRS[pairs](images))
        seen.append(images)
    assert [len(batch) for batch in seen] == [4, 4, 2] * 2
    first, second = np.concatenate(seen[:3]), np.concatenate(seen[3:])
    assert not np.array_equal(first, second)
    as_it_is = [(photos == image).all(axis=(1, 2, 3)).any() for image in first]
    assert 0 < sum(as_it_is) < len(first)  # the others are mirrored
    given, images = data.load_pair_arrays(photos, pairs=pairs)
    np.testing.assert_array_equal(given, PAIRS[pairs](photos))
    np.testing.assert_array_equal(images, photos)


def test_wrong_pairs(photos):
    with pytest.raises(InputError, match="expected one of"):
        data.load_pair_arrays(photos, pairs="sepia")


def test_columns(photos):
    attributes = np.random.default_rng(1).integers(0, 2, (10, 5)).astype(bool)
    _, found = data.load_arrays((photos, attributes), columns=[3, 0])
    np.testing.assert_array_equal(found, attributes[:, [3, 0]])
    batches = data.load((photos, attributes), batch_size=10, columns=[4], shuffle=True)
    images, found = next(batches.as_numpy_iterator())
    order = [np.flatnonzero((photos == image).all(axis=(1, 2, 3)))[0] for image in images]
    np.testing.assert_array_equal(found, attributes[order][:, [4]])
    with pytest.raises(DatasetError, match=r"columns is \[5\]; the array has 5 attributes"):
        data.load_arrays((photos, attributes), columns=[5])
    with pytest.raises(DatasetError, match="has no attributes"):
        data.load_arrays((photos, np.arange(10)), columns=[0])
    with pytest.raises(InputError, match="columns is empty"):
        data.load_arrays((photos, attributes), columns=[])
    with pytest.raises(InputError, match="columns is -1"):
        data.load_arrays((photos, attributes), columns=[-1])
