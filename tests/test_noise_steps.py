"""Noise drawn in programs: Threefry's published vectors, the same on every backend, normal."""

import numpy as np
import pytest
from keras import ops
from scipy import stats

from kerasgen import noise


def as_int32(*values):
    return [ops.convert_to_tensor(np.array([v], np.uint32).view(np.int32)) for v in values]


@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    [  # The known answers of Random123, threefry2x32 of 20 rounds
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_threefry(key, counter, expected):
    found = noise.threefry(as_int32(*key), as_int32(*counter))
    assert tuple(ops.convert_to_numpy(x).view(np.uint32)[0] for x in found) == expected


def test_step_normal():
    keys = noise.keys(5, 9, seed=3)
    assert keys.shape == (4, 2)
    np.testing.assert_array_equal(noise.keys(6, 7, seed=3)[0], keys[1])
    x = ops.convert_to_numpy(noise.step_normal(ops.convert_to_tensor(keys), 7, (50, 61, 3)))
    assert x.shape == (4, 50, 61, 3)
    assert stats.kstest(x.ravel(), "norm").pvalue > 0.01
    assert abs(np.corrcoef(x.reshape(4, -1)) - np.eye(4)).max() < 0.04
    assert abs(np.corrcoef(x[..., 0].ravel(), x[..., 1].ravel())[0, 1]) < 0.04
    alone = noise.step_normal(ops.convert_to_tensor(keys[2:3]), ops.convert_to_tensor(7, "int32"), (50, 61, 3))
    np.testing.assert_allclose(ops.convert_to_numpy(alone)[0], x[2], atol=1e-6)
    other = ops.convert_to_numpy(noise.step_normal(ops.convert_to_tensor(keys), 8, (50, 61, 3)))
    assert abs(np.corrcoef(x.ravel(), other.ravel())[0, 1]) < 0.02
    # The same on every backend, and for good.
    np.testing.assert_allclose(x[0, 0, 0], [-0.4438615, 0.7822312, 1.6219841], atol=1e-5)
