"""Small layers against references."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasgen.networks.layers.group_normalization import GroupNormalization


@pytest.mark.parametrize("affine", [False, True])
def test_group_normalization_is_that_of_keras(affine):
    rng = np.random.default_rng(0)
    x = rng.normal(3.0, 2.0, (4, 6, 5, 12)).astype(np.float32)
    results = []
    for family in (GroupNormalization, keras.layers.GroupNormalization):
        layer = family(4, center=affine, scale=affine)
        layer.build(x.shape)
        for index, weight in enumerate(layer.trainable_variables):
            weight.assign(np.random.default_rng(index).standard_normal(12))
        results.append(ops.convert_to_numpy(layer(x)))
    np.testing.assert_allclose(*results, atol=2e-5)
