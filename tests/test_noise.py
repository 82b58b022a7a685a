"""Noise does not depend on how many images are drawn, nor on the day."""

import numpy as np
import pytest
from scipy import stats

from kerasgen import noise
from kerasgen.errors import InputError


def test_each_image_has_its_own_numbers():
    whole = noise.normal(0, 10, (3, 5), seed=7)
    np.testing.assert_array_equal(noise.normal(4, 9, (3, 5), seed=7), whole[4:9])
    assert len(np.unique(whole)) == whole.size
    assert not np.isin(noise.normal(0, 10, (3, 5), seed=8), whole).any()
    assert not np.isin(noise.normal(0, 10, (3, 5), seed=7, stream=1), whole).any()


def test_numbers_of_a_seed_are_fixed_for_good():
    """Box-Muller on the raw bits of Philox, which NumPy promises: a change here changes every published grid."""
    expected = np.random.Philox(key=7, counter=[0, 2, 0, 0]).random_raw(2)
    u = ((expected >> np.uint64(11)) + np.uint64(1)) * 2.0**-53
    r = np.sqrt(-2 * np.log(u[0]))
    np.testing.assert_allclose(
        noise.normal(2, 3, (2,), seed=7)[0], [r * np.cos(2 * np.pi * u[1]), r * np.sin(2 * np.pi * u[1])], rtol=1e-6
    )


@pytest.mark.parametrize(("draw", "distribution"), [(noise.normal, "norm"), (noise.uniform, "uniform")])
def test_distributions(draw, distribution):
    """Over many seeds the p-values of a Kolmogorov-Smirnov test are themselves uniform."""
    p_values = [stats.kstest(draw(0, 40, (51,), seed).ravel(), distribution).pvalue for seed in range(100)]
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, True, "0"])
def test_bad_seeds(seed):
    with pytest.raises(InputError, match="seed"):
        noise.check_seed(seed)


def test_no_seed_is_a_fresh_one():
    assert noise.check_seed(None) != noise.check_seed(None)
