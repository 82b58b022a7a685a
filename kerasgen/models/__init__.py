"""One family a file, and the classifier that they are measured with."""

from kerasgen.models.autoencoder import Autoencoder
from kerasgen.models.base import GenerativeModel
from kerasgen.models.classifier import Classifier
from kerasgen.models.cyclegan import CycleGAN
from kerasgen.models.diffusion_model import DiffusionModel
from kerasgen.models.flow_matching import FlowMatching
from kerasgen.models.gan import GAN
from kerasgen.models.glow import Glow
from kerasgen.models.latent_diffusion import LatentDiffusion
from kerasgen.models.pix2pix import Pix2Pix
from kerasgen.models.players import Players
from kerasgen.models.real_nvp import RealNVP
from kerasgen.models.variational_autoencoder import VariationalAutoencoder

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
