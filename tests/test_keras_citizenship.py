"""Every family in the hands of Keras' users: see tests/citizen_case.py."""

import keras
import numpy as np
import pytest

import kerasgen
from tests.citizen_case import BATCH, Citizen

IMAGE = (8, 8, 1)
DENSE = {"encoder": "dense", "decoder": "dense", "width": 8}
MLP = {"class": "MLP", "width": 16}


def convolution(channels, strides):
    """A network from images to images, or to logits of patches."""
    layer = keras.layers.Conv2D(1, 3, strides, "same", data_format="channels_last")
    parts = [keras.Input((8, 8, channels)), layer]
    return keras.Sequential(parts if strides == 1 else [*parts, keras.layers.Reshape((4, 4))])


class TestAutoencoder(Citizen):
    called = "reconstruct"

    def make(self):
        return kerasgen.Autoencoder(IMAGE, 2, corruption={"class": "gaussian", "stddev": 0.1}, **DENSE)

    def test_learns_to_denoise_from_pairs(self, model, data):
        """`fit(noisy, clean)`: what is reconstructed comes near the targets, not near what was given."""
        x, _ = data
        y = np.rot90(x, axes=(1, 2)) * np.linspace(0.0, 1.0, 8, dtype=np.float32)[:, None]
        model.fit(x, y, batch_size=BATCH, epochs=40, verbose=0)
        to_x, to_y = (model.evaluate(x, z, verbose=0, return_dict=True)["mean_squared_error"] for z in (None, y))
        assert to_y < 0.7 * to_x
        with pytest.raises(kerasgen.errors.InputError, match="as many"):
            model.fit(x, y[:3], verbose=0)


@pytest.mark.backend("tensorflow")  # the family has a case that runs on all
class TestAutoencoderOfVectors(Citizen):
    vectors = True
    called = "reconstruct"

    def make(self):
        return kerasgen.Autoencoder((6,), 2, width=8)


@pytest.mark.backend("tensorflow")  # the family has a case that runs on all
class TestVariationalAutoencoderOfVectors(Citizen):
    vectors = True
    num_classes = 2

    def make(self):
        return kerasgen.VariationalAutoencoder((6,), 2, width=8, num_classes=2)


class TestAnomalyDetector(Citizen):
    vectors = True

    def make(self):
        return kerasgen.AnomalyDetector(kerasgen.Autoencoder((6,), 2, width=8), noise_stddev=0.1)


class TestImageDenoiser(Citizen):
    called = "denoise"

    def make(self):
        return kerasgen.ImageDenoiser(IMAGE, network={"class": "UNet", "width": 4, "multipliers": [1, 2], "blocks": 1})


class TestVQVAE(Citizen):
    called = "reconstruct"
    coupled = True  # codes are averages over batches

    def make(self):
        quantizer = {"class": "vector", "num_codes": 8, "dim": 2}
        spatial = {"class": "spatial", "levels": 1}
        return kerasgen.VQVAE(IMAGE, (4, 4), quantizer, spatial, spatial, 4, context_width=8)


class TestVariationalAutoencoder(Citizen):
    called = "reconstruct"

    def make(self):
        return kerasgen.VariationalAutoencoder(IMAGE, 2, kl_warmup_steps=10, **DENSE)


class TestConditionalVariationalAutoencoder(Citizen):
    num_classes = 2

    def make(self):
        return kerasgen.VariationalAutoencoder(IMAGE, 2, num_classes=2, **DENSE)


class TestRealNVP(Citizen):
    vectors = True

    def make(self):
        return kerasgen.RealNVP((6,), steps=2, width=8)


class TestGlow(Citizen):
    num_classes = 2

    def make(self):
        return kerasgen.Glow(IMAGE, levels=1, steps=1, width=4, num_classes=2)


class TestGAN(Citizen):
    vectors = True
    lowered = None
    called = "decode"

    def make(self):
        return kerasgen.GAN((6,), 3, {"class": "dense", "width": 8}, {"class": "dense", "width": 8}, penalty="r1")

    def inputs(self, model, data):
        return np.random.default_rng(0).normal(size=(NUM_LATENTS, 3)).astype(np.float32)


NUM_LATENTS = 12


class TestDiffusionModel(Citizen):
    vectors = True
    num_classes = 2

    def make(self):
        return kerasgen.DiffusionModel((6,), num_classes=2, network=MLP, num_steps=50)


class TestFlowMatching(Citizen):
    vectors = True

    def make(self):
        return kerasgen.FlowMatching((6,), network=MLP)


class TestFlowMatchingOfVideos(Citizen):
    videos = True
    num_classes = 2

    def make(self):
        network = {"class": "VideoDiT", "width": 8, "depth": 2, "heads": 2}
        return kerasgen.FlowMatching((2, 4, 8, 1), num_classes=2, network=network, num_given=1)


@pytest.mark.backend("tensorflow")  # the family has a case that runs on all
class TestVariationalAutoencoderOfVideos(Citizen):
    videos = True
    num_classes = 2

    def make(self):
        return kerasgen.VariationalAutoencoder((2, 4, 8, 1), 2, width=4, num_classes=2)


class TestLatentDiffusion(Citizen):
    def make(self):
        autoencoder = kerasgen.Autoencoder(IMAGE, 2, **DENSE)
        return kerasgen.LatentDiffusion(autoencoder, {"class": "FlowMatching", "network": MLP})


class TestPix2Pix(Citizen):
    pairs = True
    lowered = "distance"
    called = "translate"

    def make(self):
        return kerasgen.Pix2Pix(IMAGE, generator=convolution(1, 1), discriminator=convolution(2, 2))


class TestCycleGAN(Citizen):
    pairs = True
    coupled = True  # by the pools of fakes
    lowered = "cycle_distance"
    called = "translate"

    def make(self):
        return kerasgen.CycleGAN(
            IMAGE, [convolution(1, 1) for _ in range(2)], [convolution(1, 2) for _ in range(2)], pool_size=4
        )


class TestClassifier(Citizen):
    num_classes = 2
    coupled = True  # by batch normalization
    called = "classify"

    def make(self):
        return kerasgen.Classifier(IMAGE, 2, backbone={"class": "lenet"}, width=4, dropout=0.1)


SEQUENCES = {"class": "Transformer", "width": 8, "depth": 1, "heads": 2}


class TestAutoregressiveTransformer(Citizen):
    tokens = True
    num_classes = 2

    def make(self):
        return kerasgen.AutoregressiveTransformer((6,), 5, SEQUENCES, num_classes=2)


class TestMaskedDiffusion(Citizen):
    tokens = True

    def make(self):
        return kerasgen.MaskedDiffusion((6,), 5, SEQUENCES)


class TestSequenceVAE(Citizen):
    tokens = True

    def make(self):
        return kerasgen.SequenceVAE((6,), 5, 2, SEQUENCES, kl_warmup_steps=10)


def test_every_family_is_a_citizen():
    """Each family that `kerasgen` offers has a case here."""
    cases = [case for case in globals().values() if isinstance(case, type) and issubclass(case, Citizen)]
    tested = {type(case().make()).__name__ for case in cases if case is not Citizen}
    families = {name for name in kerasgen.base.FAMILIES if getattr(kerasgen, name, None)}
    assert tested == families
    assert keras.Model in kerasgen.base.BaseModel.__mro__
