"""A zoo of pretrained generative models for Keras.

`load("vae-fashion-mnist")` gives a `keras.Model` that samples, scores, encodes and fine-tunes with `fit`.
"""

from kerasgen import errors
from kerasgen.models import (
    GAN,
    Autoencoder,
    Classifier,
    CycleGAN,
    DiffusionModel,
    FlowMatching,
    GenerativeModel,
    Glow,
    LatentDiffusion,
    Pix2Pix,
    RealNVP,
    VariationalAutoencoder,
)
from kerasgen.version import __version__
from kerasgen.hub import list_models, load, publish

__all__ = [
    "GAN",
    "Autoencoder",
    "Classifier",
    "CycleGAN",
    "DiffusionModel",
    "FlowMatching",
    "GenerativeModel",
    "Glow",
    "LatentDiffusion",
    "Pix2Pix",
    "RealNVP",
    "VariationalAutoencoder",
    "__version__",
    "errors",
    "list_models",
    "load",
    "publish",
]
