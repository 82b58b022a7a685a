"""What one example is: its checks, its scale and how it is written to a file."""

from kerasgen.modalities.images import Images as Images
from kerasgen.modalities.labels import (
    check_attributes as check_attributes,
    check_labels as check_labels,
    check_latents as check_latents,
    check_weights as check_weights,
    check_wishes as check_wishes,
    one_hot as one_hot,
    signs as signs,
)
from kerasgen.modalities.modality import Modality as Modality, match, to_numpy as to_numpy
from kerasgen.modalities.tokens import Tokens as Tokens
from kerasgen.modalities.vectors import Vectors as Vectors
from kerasgen.modalities.videos import Videos as Videos
from kerasgen.typing import Sequence


def modality_of(shape: int | Sequence[int], kinds: Sequence[type[Modality]]) -> Modality:
    """The modality of examples of this shape: the one of `kinds`, each made from a shape alone, that has its rank."""
    kind, shape = match(shape, *kinds)
    return kind(shape)
