"""Tables that have no density are refused, those of an odd scale warned of, by column; others are neither."""

import warnings

import numpy as np
import pytest

from kerasgen.errors import InputError
from kerasgen.modalities import Images, Vectors

VECTORS = Vectors((3,))


def table(column, rows=1000):
    """A standard normal table, float64, with this in its middle column."""
    x = np.random.default_rng(0).standard_normal((rows, 3))
    x[:, 1] = column
    return x


def spread(scale, shift=0.0, rows=1000):
    return scale * np.random.default_rng(1).standard_normal(rows) + shift


SEPARATE = np.concatenate([np.zeros(500), 1.7e9 + np.arange(500)])
REFUSED = {
    "constant": (0.25, r"column 1 \(0.25\): a constant column has no density. Drop it"),
    "constant but for rounding": (np.where(np.arange(1000) % 2, 0.3, 0.1 + 0.2), r"column 1 \(0.3\): a constant"),
    "seconds of an hour": (1.7e9 + np.arange(1000), r"equal in float32.*column 1 \(1700000000.0 to 1700000999.0\)"),
    "all but constant in float32": (spread(1e-3, 1e6), "equal in float32.*column 1 "),
    "some equal, by steps that are seen": (spread(1e-3, 100.0), "equal in float32.*column 1 "),
    "zeros and seconds": (SEPARATE, "equal in float32.*column 1 "),
    "under the least float32": (spread(1e-50), "equal in float32.*column 1 "),
}
NAMED = {
    "wide": (spread(1e3), r"column 1 \(mean .*, standard deviation 9.*\): standardize"),
    "narrow": (spread(1e-3), r"column 1 \(mean"),
    "seconds of ten years": (1.5e9 + 3e8 * np.random.default_rng(0).uniform(size=1000), r"column 1 \(mean 1.66e\+09"),
    "far away": (spread(1.0, 1e3), r"column 1 \(mean 1e\+03"),
}
TAKEN = {
    "normal": spread(1.0),
    "of two values": np.arange(1000) % 2,
    "one of a thousand": np.arange(1000) == 7,
    "equal but for rounding": np.cumsum(np.full(1000, 0.1)) % 1.0 + np.where(np.arange(1000) % 2, 1e-16, 0.0),
    "wide but not too wide": spread(50.0, 300.0),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    column, message = REFUSED[name]
    with pytest.raises(InputError, match=message):
        VECTORS.check_training(table(column))


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_named(name, dtype):
    column, message = NAMED[name]
    with pytest.warns(UserWarning, match=message):
        VECTORS.check_training(table(column).astype(dtype))


@pytest.mark.parametrize("name", TAKEN)
def test_taken(name):
    VECTORS.check_training(table(TAKEN[name]))


def test_a_sample_proves_no_constant():
    with pytest.warns(UserWarning, match=r"one value in the 1000 rows looked at in column 1 \(0.25\)"):
        VECTORS.check_training(table(0.25), whole=False)
    with pytest.raises(InputError, match="equal in float32"):
        VECTORS.check_training(table(1.7e9 + np.arange(1000)), whole=False)


def test_many_columns_are_counted():
    with pytest.raises(InputError, match=r"columns 0 \(2\), 1 \(2\), 2 \(2\), 3 \(2\), 4 \(2\) and 3 more"):
        Vectors((8,)).check_training(np.full((4, 8), 2.0))


def test_all_rows_are_looked_at():
    """One other value, in the last of very many rows."""
    x = table(0.0, rows=100_000)
    x[-1, 1] = 100.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        VECTORS.check_training(x)


def test_other_kinds_have_nothing_to_say():
    Images((2, 2, 1)).check_training(np.zeros((4, 2, 2, 1), np.uint8))
