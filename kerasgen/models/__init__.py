"""One family a file."""

from kerasgen.models.autoencoder import Autoencoder
from kerasgen.models.base import GenerativeModel
from kerasgen.models.variational_autoencoder import VariationalAutoencoder

__all__ = ["Autoencoder", "GenerativeModel", "VariationalAutoencoder"]
