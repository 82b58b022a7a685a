import numpy as np
import pytest

from kerasgen import VariationalAutoencoder
from kerasgen.data import augment_with
from kerasgen.errors import DatasetError, InputError


def test_augment_with(images):
    """As many samples as asked for, of the classes that the data have, beside all of the data."""
    x, y = images
    model = VariationalAutoencoder((8, 8, 1), 2, width=4, num_classes=4)
    some = y < 3
    mixed, labels = augment_with(model, (x[some], y[some]), 0.25, seed=1, temperature=0.5)
    assert mixed.dtype == np.uint8
    assert mixed.shape == (32, 8, 8, 1)
    assert set(labels) == {0, 1, 2}
    real = {(image.tobytes(), label) for image, label in zip(x[some], y[some], strict=True)}
    pairs = [(image.tobytes(), label) for image, label in zip(mixed, labels, strict=True)]
    assert real <= set(pairs)
    assert [pair in real for pair in pairs] != sorted(pair in real for pair in pairs)
    again, same = augment_with(model, (x[some], y[some]), 0.25, seed=1, temperature=0.5)
    np.testing.assert_array_equal(again, mixed)
    np.testing.assert_array_equal(same, labels)
    np.testing.assert_array_equal(augment_with(model, (x, y), 0.0)[0], x)
    plain = VariationalAutoencoder((8, 8, 1), 2, width=4)
    for call, error, message in [
        (lambda: augment_with(plain, (x, y)), InputError, "class-conditional"),
        (lambda: augment_with(model, (x, y), 1.0), InputError, "less than 1"),
        (lambda: augment_with(model, x), DatasetError, "no labels"),
        (lambda: augment_with(model, (x, y + 1)), DatasetError, "0 to 3"),
    ]:
        with pytest.raises(error, match=message):
            call()
