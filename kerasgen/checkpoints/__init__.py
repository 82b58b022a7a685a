"""Checkpoints: folders in Keras' own layout and `.keras` files, checked before they are read; no family is known."""

from kerasgen.checkpoints.bounds import LIMIT
from kerasgen.checkpoints.checkpoint import check_savable, load_checkpoint, save_checkpoint, sha256
from kerasgen.checkpoints.folder import CONFIG, FILES, METADATA, WEIGHTS, checkpoint_file
from kerasgen.checkpoints.paths import local_path

__all__ = [
    "CONFIG",
    "FILES",
    "LIMIT",
    "METADATA",
    "WEIGHTS",
    "check_savable",
    "checkpoint_file",
    "load_checkpoint",
    "local_path",
    "save_checkpoint",
    "sha256",
]
