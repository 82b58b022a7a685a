import numpy as np
import pytest
from PIL import Image

from kerasgen import data
from kerasgen.errors import DatasetError, InputError


@pytest.fixture
def folder(tmp_path):
    """Three images of different sizes, in which each pixel says where it is."""
    for index, (height, width) in enumerate([(12, 9), (9, 20), (15, 15)]):
        rows, columns = np.mgrid[:height, :width]
        Image.fromarray(np.stack([rows, columns, 0 * rows + index], -1).astype(np.uint8)).save(
            tmp_path / f"{index}.png"
        )
    return tmp_path


def test_patches_are_parts_of_images_in_all_places_and_turns(folder):
    x, _ = data.load_arrays(folder, "all", patch_size=8, patches=200)
    assert x.shape == (600, 8, 8, 3)
    whole = data.load_whole(folder, "all")
    assert [image.shape for image in whole] == [(12, 9, 3), (9, 20, 3), (15, 15, 3)]
    corners, turns = [set(), set(), set()], set()
    for index, patch in enumerate(x):
        rows, columns, which = patch[..., 0].astype(int), patch[..., 1].astype(int), int(patch[0, 0, 2])
        assert which == index % 3  # first one of each image
        top, left = rows.min(), columns.min()
        corners[which].add((top, left))
        turns.add((*np.subtract((rows[0, 0], columns[0, 0]), (top, left)), rows[0, 1] == rows[0, 0]))
        area = whole[which][top : top + 8, left : left + 8].reshape(-1, 3)
        assert sorted(map(tuple, patch.reshape(-1, 3))) == sorted(map(tuple, area))
    assert len(turns) == 8
    assert corners[0] == {(top, left) for top in range(5) for left in range(2)}
    np.testing.assert_array_equal(data.load_arrays(folder, "all", patch_size=8, patches=200)[0], x)


@pytest.mark.parametrize("cache", [True, False])
def test_batches_of_patches(folder, cache):
    tf = pytest.importorskip("tensorflow")
    settings = {"patch_size": 4, "patches": 5, "batch_size": 6}
    batches = list(data.load(folder, "all", channels=1, cache=cache, **settings))
    assert [tuple(batch.shape) for batch in batches] == [(6, 4, 4, 1), (6, 4, 4, 1), (3, 4, 4, 1)]
    expected, _ = data.load_arrays(folder, "all", channels=1, patch_size=4, patches=5)
    np.testing.assert_array_equal(tf.concat(batches, 0), expected)
    assert data.steps_per_epoch(folder, "all", 6, patches=5) == 3


def test_images_smaller_than_patches(folder):
    with pytest.raises(DatasetError, match="an image of 12 x 9; patches are 10 x 10"):
        data.load_arrays(folder, "all", patch_size=10)
    for settings in ({"patch_size": 0}, {"patch_size": 4, "patches": 0}):
        with pytest.raises(InputError, match="at least 1"):
            data.load_arrays(folder, "all", **settings)
