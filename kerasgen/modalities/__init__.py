"""What one example is: its checks, its scale and how it is written to a file."""

from collections.abc import Sequence

from kerasgen.modalities.images import Images
from kerasgen.modalities.labels import check_attributes, check_labels, check_latents, one_hot
from kerasgen.modalities.modality import Modality, match
from kerasgen.modalities.tokens import Tokens
from kerasgen.modalities.vectors import Vectors
from kerasgen.modalities.videos import Videos

__all__ = ["Images", "Modality", "Tokens", "Vectors", "Videos", "modality_of"]
__all__ += ["check_attributes", "check_labels", "check_latents", "one_hot"]


def modality_of(shape: int | Sequence[int], kinds: Sequence[type[Modality]]) -> Modality:
    """The modality of examples of this shape: the one of `kinds`, each made from a shape alone, that has its rank."""
    kind, shape = match(shape, *kinds)
    return kind(shape)
