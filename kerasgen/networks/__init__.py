"""What the families are built from: networks by name, or any Keras layer of the user's."""

from kerasgen.networks.resolve import (
    BACKBONES as BACKBONES,
    COUPLINGS as COUPLINGS,
    DECODERS as DECODERS,
    DENOISERS as DENOISERS,
    DISCRIMINATORS as DISCRIMINATORS,
    ENCODERS as ENCODERS,
    GENERATORS as GENERATORS,
    PATCH_DISCRIMINATORS as PATCH_DISCRIMINATORS,
    SEQUENCE_NETWORKS as SEQUENCE_NETWORKS,
    TRANSLATORS as TRANSLATORS,
)
