"""A zoo of pretrained generative models for Keras.

`load("vae-fashion-mnist")` gives a `keras.Model` that samples, scores, encodes and fine-tunes with `fit`.
"""

import importlib

from kerasgen import errors as errors, onednn as onednn  # the latter before what imports Keras
from kerasgen.autoencoders.autoencoder import Autoencoder as Autoencoder
from kerasgen.autoencoders.image_denoiser import ImageDenoiser as ImageDenoiser
from kerasgen.autoencoders.variational_autoencoder import VariationalAutoencoder as VariationalAutoencoder
from kerasgen.autoencoders.vqvae import VQVAE as VQVAE
from kerasgen.base.family import register_family as register_family
from kerasgen.base.generative import GenerativeModel as GenerativeModel
from kerasgen.classifiers.classifier import Classifier as Classifier
from kerasgen.classifiers.perceptual import PerceptualDistance as PerceptualDistance
from kerasgen.detectors.anomaly_detector import AnomalyDetector as AnomalyDetector
from kerasgen.diffusion.diffusion_model import DiffusionModel as DiffusionModel
from kerasgen.diffusion.flow_matching import FlowMatching as FlowMatching
from kerasgen.diffusion.latent_diffusion import LatentDiffusion as LatentDiffusion
from kerasgen.flows.glow import Glow as Glow
from kerasgen.flows.real_nvp import RealNVP as RealNVP
from kerasgen.gans.cyclegan import CycleGAN as CycleGAN
from kerasgen.gans.gan import GAN as GAN
from kerasgen.gans.optimizer import GANOptimizer as GANOptimizer
from kerasgen.gans.pix2pix import Pix2Pix as Pix2Pix
from kerasgen.hub.foreign import import_checkpoint as import_checkpoint
from kerasgen.hub.publication import publish as publish
from kerasgen.hub.registry import list_models as list_models, load as load, save as save
from kerasgen.sequences.autoregressive import AutoregressiveTransformer as AutoregressiveTransformer
from kerasgen.sequences.masked_diffusion import MaskedDiffusion as MaskedDiffusion
from kerasgen.sequences.sequence_vae import SequenceVAE as SequenceVAE
from kerasgen.training.strategies import strategy as strategy
from kerasgen.typing import Any
from kerasgen.version import __version__ as __version__

# Modules that are imported when they are first used.
_LAZY = {
    "backend": "kerasgen.backend",
    "bijectors": "kerasgen.flows.bijectors",
    "callbacks": "kerasgen.training.callbacks",
    "data": "kerasgen.data",
    "latents": "kerasgen.latents",
    "metrics": "kerasgen.metrics",
    "networks": "kerasgen.networks",
    "samplers": "kerasgen.diffusion.samplers",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'kerasgen' has no attribute {name!r}")
    return importlib.import_module(_LAZY[name])


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
