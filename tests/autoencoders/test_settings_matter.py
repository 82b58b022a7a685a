"""Settings of autoencoders, on weights set by hand."""

import keras
import numpy as np
import pytest

from tests.autoencoders.test_variational_autoencoder import factor_data, linear_vae


def test_latents_are_drawn_with_the_posteriors_spread():
    """At the optimum of a linear VAE the bound is the density itself, if z has the posterior's spread."""
    x, exact = factor_data(4000, np.random.default_rng(1))
    model = linear_vae(1.0)
    model.compile(keras.optimizers.SGD(0.0))
    found = model.evaluate(x, batch_size=1000, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(-exact.mean(), abs=0.1)
