"""What the families are built from: networks by name, or any Keras layer of the user's."""

from kerasgen.networks.resolve import (
    BACKBONES,
    COUPLINGS,
    DECODERS,
    DENOISERS,
    DISCRIMINATORS,
    ENCODERS,
    GENERATORS,
    PATCH_DISCRIMINATORS,
    TRANSLATORS,
)

__all__ = [
    "BACKBONES",
    "COUPLINGS",
    "DECODERS",
    "DENOISERS",
    "DISCRIMINATORS",
    "ENCODERS",
    "GENERATORS",
    "PATCH_DISCRIMINATORS",
    "TRANSLATORS",
]
