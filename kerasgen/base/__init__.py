"""One family a file, and the classifier that they are measured with."""

from kerasgen.autoencoders.autoencoder import Autoencoder
from kerasgen.base.model import GenerativeModel
from kerasgen.classifiers.classifier import Classifier
from kerasgen.gans.cyclegan import CycleGAN
from kerasgen.diffusion.diffusion_model import DiffusionModel
from kerasgen.diffusion.flow_matching import FlowMatching
from kerasgen.gans.gan import GAN
from kerasgen.flows.glow import Glow
from kerasgen.diffusion.latent_diffusion import LatentDiffusion
from kerasgen.gans.pix2pix import Pix2Pix
from kerasgen.gans.optimizer import Players
from kerasgen.flows.real_nvp import RealNVP
from kerasgen.autoencoders.variational_autoencoder import VariationalAutoencoder

FAMILIES = {
    family.__name__: family
    for family in (
        GAN,
        Autoencoder,
        Classifier,
        CycleGAN,
        DiffusionModel,
        FlowMatching,
        Glow,
        LatentDiffusion,
        Pix2Pix,
        RealNVP,
        VariationalAutoencoder,
    )
}

__all__ = [
    "FAMILIES",
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
    "Players",
    "RealNVP",
    "VariationalAutoencoder",
]
