"""Replicas: the steps of one device on the whole batch, whatever their shares of it, noise and all.

Where the devices of this process are too few, the fixtures of conftest.py have made two of the one CPU.
"""

import keras
import numpy as np
import pytest
from keras import layers, ops

import kerasgen
from kerasgen import (
    GAN,
    VQVAE,
    AnomalyDetector,
    Autoencoder,
    AutoregressiveTransformer,
    Classifier,
    CycleGAN,
    DiffusionModel,
    FlowMatching,
    Glow,
    ImageDenoiser,
    LatentDiffusion,
    MaskedDiffusion,
    Pix2Pix,
    RealNVP,
    SequenceVAE,
    VariationalAutoencoder,
)
from kerasgen.gans.translator import Translator
from kerasgen.modalities import Images, Tokens

IMAGE = (8, 8, 1)
PATCH = {"class": "patch", "width": 4, "levels": 1}
MLP = {"class": "MLP", "width": 16}
SEQUENCES = {"class": "Transformer", "width": 8, "depth": 1, "heads": 2}
FLOW = {"class": "RealNVP", "steps": 1, "width": 8}
DENSE = {"encoder": "dense", "decoder": "dense", "width": 8}


def make_diffusion():
    network = {"class": "DiT", "width": 8, "depth": 1, "heads": 2}
    return DiffusionModel(IMAGE, num_classes=4, network=network, self_conditioning=True)


def make_gan():
    """Its batch normalization takes the statistics of the whole batch, too."""
    networks = ({"class": "conv", "width": 4}, {"class": "conv", "width": 4, "normalization": "spectral"})
    return GAN(IMAGE, 3, *networks, num_classes=4, penalty="gradient_penalty", augmentation=("translation",))


def convolution(strides):
    """A translator, or a discriminator of patches."""
    layer = layers.Conv2D(1, 3, strides, "same", data_format="channels_last", dtype="float32")
    parts = [keras.Input(IMAGE), layer]
    return keras.Sequential(parts if strides == 1 else [*parts, layers.Reshape((4, 4))])


def make_latent_diffusion():
    return LatentDiffusion(Autoencoder(IMAGE, 3, **DENSE), {"class": "DiffusionModel", "network": MLP})


VECTORS = {"class": "vector", "num_codes": 8, "dim": 2}
SPATIAL = {"class": "spatial", "levels": 1}
SPECKS = {"class": "salt_and_pepper", "rate": 0.1}
VIDEO = {"class": "VideoDiT", "width": 8, "depth": 2, "heads": 2, "patch": 2}
FAMILIES = {
    "autoencoder": lambda: Autoencoder(IMAGE, 3, width=8, corruption={"class": "masking", "rate": [0.1, 0.3]}),
    "image_denoiser": lambda: ImageDenoiser(IMAGE, network={"class": "UNet", "width": 8, "multipliers": [1]}),
    "vqvae": lambda: VQVAE(IMAGE, (4, 4), VECTORS, SPATIAL, SPATIAL, 4, context_width=8),
    "anomaly_detector": lambda: AnomalyDetector(RealNVP((64,), steps=1, width=8), noise_stddev=0.1),
    "vae": lambda: VariationalAutoencoder(IMAGE, 3, width=8, num_classes=4, free_bits=0.3, kl_warmup_steps=3),
    "real_nvp": lambda: RealNVP((64,), steps=2, width=8),
    "glow": lambda: Glow(IMAGE, levels=2, steps=1, width=8, num_classes=4),
    "variational_glow": lambda: Glow(IMAGE, levels=1, steps=1, width=4, dequantization="variational"),
    "gan": make_gan,
    "pix2pix": lambda: Pix2Pix(IMAGE, generator={"class": "UNet", "width": 4}, discriminator=PATCH),
    "cyclegan": lambda: CycleGAN(IMAGE, [convolution(1) for _ in "ab"], [convolution(2) for _ in "ab"], pool_size=8),
    "diffusion": make_diffusion,
    "flow_matching": lambda: FlowMatching((64,), network=MLP, optimal_transport=True),
    "videos": lambda: FlowMatching((4, 4, 4, 1), network=VIDEO, num_given=2),
    "autoencoder_of_videos": lambda: Autoencoder((4, 4, 4, 1), 3, width=8, corruption=SPECKS),
    "latent_diffusion": make_latent_diffusion,
    "autoregressive": lambda: AutoregressiveTransformer((64,), 4, SEQUENCES, num_classes=4),
    "masked_diffusion": lambda: MaskedDiffusion((64,), 4, SEQUENCES, num_classes=4),
    "sequence_vae": lambda: SequenceVAE((64,), 4, 3, SEQUENCES, free_bits=0.1, kl_warmup_steps=3, prior=FLOW),
    "classifier": lambda: Classifier(IMAGE, 4, backbone="lenet", width=4, dropout=0.2, max_shift=1),
}

# Biases before batch normalization have no gradient but rounding, of which Adam makes steps.
TOLERANCES = {"gan": 5e-5, "pix2pix": 5e-5}


@pytest.fixture(scope="module")
def examples(squares):
    """33, in batches of 16: shares of 8 and 8, and at the end of 1 and 0."""
    x, y = squares
    return np.concatenate([x, 255 - x[:1]]), np.append(y, 3)


def examples_of(model, images):
    """Images, videos, vectors or tokens, as the model takes them, of uint8 images `[N, 8, 8, 1]`."""
    if isinstance(model.modality, Images):
        return images.reshape(-1, *model.shape)
    flat = images.reshape(len(images), -1)
    return (flat // 64).astype(np.int32) if isinstance(model.modality, Tokens) else flat / np.float32(255.0)


def trained(make, examples, scope=None, as_dataset=False):
    """Weights and losses after five steps or more with the default optimizer, in the scope of a strategy."""
    x, y = examples
    keras.utils.set_random_seed(0)

    def run():
        model = make()
        model.compile()
        given = examples_of(model, x)
        targets = 255 - x if isinstance(model, Translator) else y if model.num_classes else None
        if as_dataset:
            import tensorflow as tf

            batches = tf.data.Dataset.from_tensor_slices((given,) if targets is None else (given, targets)).batch(16)
            logs = model.fit(batches, epochs=3, verbose=0).history
        else:
            logs = model.fit(given, targets, batch_size=16, epochs=3, shuffle=False, verbose=0).history
        # The bias before an instance normalization has no gradient but rounding, of which Adam makes whole steps.
        left_out = ("seed_generator_state", "conv/bias") if isinstance(model, Translator) else "seed_generator_state"
        return [ops.convert_to_numpy(v) for v in model.weights if not v.path.endswith(left_out)], logs

    if scope is None:
        return run()
    with scope:
        return run()


def assert_same_training(family, one, two):
    for name, losses in one[1].items():
        np.testing.assert_allclose(losses, two[1][name], rtol=1e-4, atol=1e-5, err_msg=name)
    for a, b in zip(one[0], two[0], strict=True):
        np.testing.assert_allclose(a, b, atol=TOLERANCES.get(family, 1e-5))


def mirrored():
    import tensorflow as tf

    # TensorFlow's collectives, the default, are not ordered among CPU devices and may meet the wrong partner.
    return tf.distribute.MirroredStrategy(
        [d.name for d in tf.config.list_logical_devices("CPU")[:2]],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )


@pytest.mark.backend("tensorflow")
@pytest.mark.parametrize("family", FAMILIES)
def test_two_tensorflow_replicas_take_the_steps_of_one(family, examples):
    make = FAMILIES[family]
    assert_same_training(family, trained(make, examples), trained(make, examples, mirrored().scope()))


@pytest.mark.backend("tensorflow")
def test_kernels_of_two_tensorflow_replicas(examples, monkeypatch):
    """Of small tensors, too; and one replica's share is empty once."""
    monkeypatch.setattr("kerasgen.backend.tensorflow.LARGE", 1)
    make = FAMILIES["diffusion"]
    assert_same_training("diffusion", trained(make, examples), trained(make, examples, mirrored().scope()))


@pytest.mark.backend("tensorflow")
def test_dropout_differs_between_replicas():
    """That of users' layers, too."""
    strategy = mirrored()
    with strategy.scope():
        encoder = keras.Sequential([keras.Input(IMAGE), layers.Flatten(), layers.Dropout(0.5), layers.Dense(3)])
        model = Autoencoder(IMAGE, 3, encoder=encoder, decoder="dense", width=8)
        model.compile()
        drop = encoder.layers[1]
    draws = [strategy.run(lambda: drop(ops.ones((4, 64)), training=True)) for _ in range(2)]
    values = [value.numpy() for draw in draws for value in strategy.experimental_local_results(draw)]
    assert len(values) == 4
    for i, a in enumerate(values):
        for b in values[:i]:
            assert np.mean(a != b) > 0.3


@pytest.mark.backend("jax")
@pytest.mark.parametrize("family", FAMILIES)
def test_jax_data_parallel_equals_one_device(family, examples):
    """A step is one program over the global batch; Keras wants batches that the devices share evenly."""
    import jax

    assert len(jax.devices()) == 2
    even = tuple(part[:32] for part in examples)
    distribution = keras.distribution.DataParallel(devices=jax.devices())
    make = FAMILIES[family]
    assert_same_training(family, trained(make, even), trained(make, even, distribution.scope()))


def make_unet():
    return DiffusionModel(IMAGE, network={"class": "UNet", "width": 8, "multipliers": [1]})


@pytest.mark.backend("jax")
@pytest.mark.parametrize("make", [make_diffusion, make_unet])
def test_jax_model_parallel_equals_one_device(make, examples):
    """Kernels in pairs, each device with a half of each, and of their moments in the optimizer."""
    even = tuple(part[:32] for part in examples)
    strategy = kerasgen.strategy("model_parallel")
    assert_same_training("diffusion", trained(make, even), trained(make, even, strategy.scope()))
    with strategy.scope():
        model = make()
        model.compile()
        model.fit(*even, batch_size=32, verbose=0)
    cut = [variable for variable in model.weights if share_of(variable) != 1]
    assert {share_of(variable) for variable in cut} == {0.5}
    pair = {"qkv", "out", "hidden"} if make is make_diffusion else {"qkv", "out", "conv_a", "conv_b"}
    assert {variable.path.split("/")[-2] for variable in cut} >= pair
    moments = [slot for slot in model.optimizer.variables if share_of(slot) == 0.5]
    assert len(moments) >= 2 * len([variable for variable in cut if variable.trainable])


def share_of(variable):
    """The part of it that one device has."""
    return variable.value.addressable_shards[0].data.size / variable.value.size
