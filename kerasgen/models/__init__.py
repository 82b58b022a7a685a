"""One family a file."""

from kerasgen.models.autoencoder import Autoencoder
from kerasgen.models.base import GenerativeModel
from kerasgen.models.variational_autoencoder import VariationalAutoencoder

FAMILIES = {family.__name__: family for family in (Autoencoder, VariationalAutoencoder)}

__all__ = ["FAMILIES", "Autoencoder", "GenerativeModel", "VariationalAutoencoder"]
