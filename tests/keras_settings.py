"""What small models of every family compute, for test_keras_settings.py; with a path, written to it.

Numbers that float16 holds exactly, and a step by SGD: all else is float32 whatever the settings are.
"""

import sys

import keras
import numpy as np
from keras import ops

import kerasgen as kg

RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.integers(0, 256, (4, 8, 8, 1), dtype=np.uint8), np.arange(4)
VECTORS = (RNG.integers(-8, 9, (4, 4)) / 4).astype(np.float32)
DIT = {"class": "DiT", "width": 8, "depth": 1, "heads": 2}
MLP = {"class": "MLP", "width": 8, "depth": 1}
VIDEO = {"class": "VideoDiT", "width": 8, "depth": 2, "heads": 2}
UNET = {"class": "UNet", "width": 4, "multipliers": [1, 1], "blocks": 1}
PATCH = {"class": "patch", "width": 4, "levels": 1}
CRITIC = {"class": "conv", "width": 4, "residual": True, "minibatch_stddev": True}
EAGERLY = keras.backend.backend() != "jax"  # whose single operations would each be compiled
SHAPE, FOUR, FEW = (8, 8, 1), {"num_classes": 4}, {"steps": 2}


def vae(**arguments):
    return kg.VariationalAutoencoder(SHAPE, 3, width=4, **arguments)


# Name: model, examples, targets, arguments of `sample` or `None`, whether to score.
MODELS = {
    "autoencoder": (lambda: kg.Autoencoder(SHAPE, 3, "conv", "dense", width=4), IMAGES, None, None, False),
    "vae": (lambda: vae(**FOUR), IMAGES, LABELS, {}, True),
    "gan": (
        lambda: kg.GAN(SHAPE, 3, "conv", CRITIC, penalty="r1", augmentation=("color", "translation", "cutout")),
        *(IMAGES, None, {}, False),
    ),
    "pix2pix": (lambda: kg.Pix2Pix(SHAPE, generator="UNet", discriminator=PATCH), IMAGES, 255 - IMAGES, None, False),
    "cyclegan": (
        lambda: kg.CycleGAN(SHAPE, generator={"class": "residual", "width": 4, "blocks": 1}, discriminator=PATCH),
        *(IMAGES, 255 - IMAGES, None, False),
    ),
    "glow": (
        lambda: kg.Glow(SHAPE, 2, 1, "haar", width=4, dequantization="variational", **FOUR),
        *(IMAGES, LABELS, {}, True),
    ),
    "realnvp": (lambda: kg.RealNVP(SHAPE, 2, 1, width=4, equalize=True, coupling="spline"), IMAGES, None, None, False),
    "realnvp of vectors": (lambda: kg.RealNVP((4,), steps=2, width=8), VECTORS, None, {}, True),
    "ddpm": (lambda: kg.DiffusionModel(SHAPE, network=UNET, super_resolution=2), IMAGES, None, None, False),
    "edm": (
        lambda: kg.DiffusionModel(SHAPE, network=DIT, schedule="edm", num_steps=None, loss="edm", **FOUR),
        *(IMAGES, LABELS, FEW, False),
    ),
    "flow matching": (lambda: kg.FlowMatching((4,), network=MLP, optimal_transport=True), VECTORS, None, FEW, True),
    "videos": (lambda: kg.FlowMatching((2, 4, 8, 1), network=VIDEO), IMAGES.reshape(4, 2, 4, 8, 1), None, FEW, False),
    "autoencoder of videos": (
        lambda: kg.Autoencoder((2, 4, 8, 1), 3, width=4, num_components=0),
        *(IMAGES.reshape(4, 2, 4, 8, 1), None, None, False),
    ),
    "latent": (lambda: kg.LatentDiffusion(vae(), {"class": "FlowMatching", "network": MLP}), IMAGES, None, FEW, False),
    "classifier": (
        lambda: kg.Classifier(SHAPE, **FOUR, backbone="lenet", width=4, max_shift=1),
        *(IMAGES, LABELS, None, False),
    ),
}


def results(names):
    """Arrays by name: logs, weights after a step, samples, log-densities."""
    found = {}
    for name in names:
        make, x, y, drawing, scores = MODELS[name]
        keras.utils.set_random_seed(0)
        model = make()
        optimizers = [keras.optimizers.SGD(2.0**-7) for _ in range(2)]
        adversarial = isinstance(model, (kg.GAN, kg.Pix2Pix, kg.CycleGAN))
        model.compile(kg.GANOptimizer(*optimizers) if adversarial else optimizers[0], run_eagerly=EAGERLY)
        logs = model.train_on_batch(x, y, return_dict=True)
        arrays = [np.array(list(logs.values())), *map(ops.convert_to_numpy, model.variables)]
        arrays += [] if drawing is None else [model.sample(2, seed=0, verbose=0, **drawing)]
        arrays += [model.log_prob(x, y, verbose=0)] if scores else []
        found |= {f"{name} {index}": array for index, array in enumerate(arrays)}
    return found


def bundled():
    """Arrays by name: what some entries of the zoo give."""
    x = np.zeros((2, 28, 28, 1), np.uint8)
    found = {"dcgan": kg.load("dcgan-mnist").sample(2, seed=0), "lenet": kg.load("lenet-mnist").classify(x)}
    return found | {"ae": kg.load("ae-fashion-mnist").reconstruct(x)}


if __name__ == "__main__":
    print(keras.config.floatx(), keras.config.image_data_format())
    np.savez(sys.argv[1], **results(MODELS), **bundled())
