"""Checkpoints loaded to compute in 16 bits: parts of models too, from the same weights."""

import numpy as np
import pytest

import kerasgen
from kerasgen.errors import InputError

MLP = {"class": "MLP", "width": 16}
DENSE = {"encoder": "dense", "decoder": "dense", "width": 8}
MODELS = {
    "vae": lambda: kerasgen.VariationalAutoencoder((8, 8, 1), 2, width=4),
    "glow": lambda: kerasgen.Glow((8, 8, 1), levels=1, steps=1, width=4),
    "gan": lambda: kerasgen.GAN((8, 8, 1), 3, {"class": "dense", "width": 8}, {"class": "conv", "width": 4}),
    "latent": lambda: kerasgen.LatentDiffusion(
        kerasgen.Autoencoder((8, 8, 1), 3, **DENSE), {"class": "FlowMatching", "network": MLP}
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_inference_in_16_bits(name, tmp_path, squares):
    model = MODELS[name]()
    model.compile()
    model.fit(squares[0], batch_size=16, verbose=0)
    model.save(tmp_path / "model", dtype="float16")
    settings = {"seed": 0, "verbose": 0} | ({"steps": 2} if name == "latent" else {})
    expected = kerasgen.load(tmp_path / "model").sample(4, **settings)
    for dtype, tolerance in (("mixed_float16", 0.02), ("mixed_bfloat16", 0.1)):
        loaded = kerasgen.load(tmp_path / "model", dtype=dtype)
        policies = {part.dtype_policy.name for part in loaded._flatten_layers() if hasattr(part, "kernel")}
        assert policies == {dtype}
        assert {v.dtype for v in loaded.trainable_variables} == {"float32"}
        found = loaded.sample(4, **settings)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=tolerance)


def test_other_policies(tmp_path):
    MODELS["vae"]().save(tmp_path / "model")
    with pytest.raises(InputError, match="dtype is 'int8'"):
        kerasgen.load(tmp_path / "model", dtype="int8")
