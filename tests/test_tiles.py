import numpy as np
import pytest

from kerasgen import tiles


@pytest.mark.parametrize(("sides", "tile", "margin"), [((5, 7), (4, 4), 0), ((9, 3), (6, 8), 2), ((8, 8), (8, 8), 1)])
def test_tiles_join_to_the_image(sides, tile, margin):
    x = np.random.default_rng(0).random((3, *sides, 2))
    cut = tiles.cut(x, tile, margin)
    assert cut.shape[1:] == (*tile, 2)
    np.testing.assert_array_equal(tiles.join(cut, sides, margin), x)


def test_as_few_tiles_as_cover_the_side():
    assert tiles.starts(10, 4) == [0, 4, 6]
    assert tiles.starts(8, 4) == [0, 4]
    assert tiles.starts(3, 4) == tiles.starts(3, 4, 2) == tiles.starts(4, 4, 3) == [0]
    assert tiles.starts(10, 4, 1) == [0, 2, 4, 6]


def test_a_filter_over_tiles_is_the_filter_over_the_image():
    """What reaches no further than the margin, and sees zeros beyond the image's border."""

    def blur(x):
        padded = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))
        return sum(padded[:, i : i + x.shape[1], j : j + x.shape[2]] for i in (0, 1, 4) for j in (0, 3))

    x = np.random.default_rng(0).random((2, 11, 17, 1))
    np.testing.assert_allclose(tiles.join(blur(tiles.cut(x, (9, 10), 2)), (11, 17), 2), blur(x), atol=1e-12)
