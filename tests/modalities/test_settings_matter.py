"""What becomes of values that are no bytes."""

import numpy as np

from kerasgen.modalities import Images


def test_storage_is_the_nearest_byte():
    """And never another image's: beyond [0, 1] it ends at black and white."""
    images = Images((1, 5, 1))
    x = np.array([0.6, 99.4, 99.6, -3.0, 300.0], np.float32).reshape(1, 1, 5, 1) / 255.0
    np.testing.assert_array_equal(images.to_storage(x).ravel(), [1, 99, 100, 0, 255])
    assert images.to_storage(x).dtype == np.uint8
