"""What one example is: its checks, its scale and how it is written to a file."""

from kerasgen.errors import InputError
from kerasgen.modalities.images import Images as Images, NoisyImages as NoisyImages
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
from kerasgen.modalities.notes import Notes as Notes
from kerasgen.modalities.sounds import Sounds as Sounds, sounds_of as sounds_of
from kerasgen.modalities.tokens import Tokens as Tokens
from kerasgen.modalities.vectors import Tables as Tables, Vectors as Vectors
from kerasgen.modalities.videos import Videos as Videos
from kerasgen.typing import Any, Sequence, Shape


def modality_of(shape: int | Shape | Modality, kinds: Sequence[type[Modality]]) -> Modality:
    """The modality of examples of this shape: the one of `kinds`, each made from a shape alone, that has its rank.

    A modality is itself: of tokens there is more to know than the shape. Where images may be, a dictionary may give
    sounds.
    """
    if isinstance(shape, Modality):
        return shape
    if isinstance(shape, dict):
        if Images not in kinds:
            raise InputError(f"shape is {shape!r:.60}; expected (features,): sounds are for models of images.")
        return sounds_of(shape)
    kind, shape = match(shape, *kinds)
    return kind(shape)


def tokens_of(shape: int | Sequence[int], vocabulary: Any) -> Tokens:
    """The modality of sequences over a vocabulary: strings, a number, or `{"class": "notes", ...}` (see `Notes`)."""
    if not isinstance(vocabulary, dict):
        return Tokens(shape, vocabulary)
    settings = {name: value for name, value in vocabulary.items() if name != "class"}
    if vocabulary.get("class") != "notes" or settings.keys() - {"voices", "lowest", "highest"}:
        raise InputError(f'vocabulary is {vocabulary!r:.60}; expected for example {{"class": "notes", "voices": 4}}.')
    return Notes(shape, **settings)
