"""Labels, attributes and latents: what is taken, and one clear error for each thing that is not."""

import re

import keras
import numpy as np
import pytest

from kerasgen.errors import InputError
from kerasgen.modalities import check_attributes, check_labels, check_latents, one_hot


@pytest.mark.parametrize("labels", [[2, 0, 2], (2, 0, 2), np.uint8([2, 0, 2]), np.int64([2, 0, 2])])
def test_labels(labels):
    for given in (labels, keras.ops.convert_to_tensor(np.asarray(labels))):
        checked = check_labels(given, 3, 3)
        assert checked.dtype == np.int32
        np.testing.assert_array_equal(checked, [2, 0, 2])
        hot = one_hot(keras.ops.convert_to_tensor(checked), 3)
        assert keras.backend.standardize_dtype(hot.dtype) == "float32"
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(hot), np.eye(3)[[2, 0, 2]])


def test_one_label_for_all_and_none():
    np.testing.assert_array_equal(check_labels(1, 3, 2), [1, 1, 1])
    assert check_labels(None, 3, None) is None


def test_attributes():
    for attributes in ([[1, 0], [0, 0]], np.array([[True, False], [False, False]])):
        checked = check_attributes(attributes, 2, 2)
        assert checked.dtype == np.int32
        np.testing.assert_array_equal(checked, [[1, 0], [0, 0]])


def test_latents():
    for latents in ([[1, -2.5]], np.float64([[1, -2.5]]), keras.ops.convert_to_tensor(np.float32([[1, -2.5]]))):
        checked = check_latents(latents, 2)
        assert checked.dtype == np.float32
        np.testing.assert_array_equal(checked, [[1, -2.5]])


@pytest.mark.parametrize(
    ("check", "arguments", "message"),
    [
        (
            check_labels,
            ([0], 1, None),
            "labels were given, but this model is not class-conditional (num_classes is None).",
        ),
        (check_labels, (None, 2, 3), "this model needs labels: give 2 integers from 0 to 2."),
        (check_labels, ("12", 2, 3), "labels is a str; expected an array or a tensor."),
        (check_labels, ([0.0, 1.0], 2, 3), "labels have dtype float64; expected integers from 0 to 2."),
        (check_labels, (True, 2, 3), "labels have dtype bool; expected integers from 0 to 2."),
        (check_labels, ([0], 2, 3), "labels have shape (1,); expected (2,), one for each example."),
        (check_labels, ([0, 3], 2, 3), "labels range over 0..3; this model has 3 classes, 0 to 2."),
        (check_labels, ([-1, 2], 2, 3), "labels range over -1..2; this model has 3 classes, 0 to 2."),
        (check_attributes, (None, 2, 3), "this model needs labels: give 2 rows of 3 attributes, each 0 or 1."),
        (check_attributes, ([0, 1], 2, 2), "labels have shape (2,); expected (2, 2), attributes of 0 or 1."),
        (check_attributes, ([[0, 2]], 1, 2), "labels have dtype int64; expected attributes, each 0 or 1 or a bool."),
        (check_attributes, ([[0.0, 1.0]], 1, 2), "labels have dtype float64; expected attributes"),
        (check_latents, ([[0.0]], 2), "latents have shape (1, 1); expected [N, 2] with N of at least 1."),
        (check_latents, (np.zeros((0, 2)), 2), "latents have shape (0, 2); expected [N, 2]"),
        (check_latents, ([[np.nan, 0.0]], 2), "latents of dtype float64 must be finite numbers."),
        (check_latents, ([["a", "b"]], 2), "latents of dtype <U1 must be finite numbers."),
    ],
)
def test_refuses(check, arguments, message):
    with pytest.raises(InputError, match=re.escape(message)):
        check(*arguments)
