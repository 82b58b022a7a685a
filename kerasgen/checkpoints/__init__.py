"""Checkpoints: folders in Keras' own layout, checked before they are read; nothing here knows a family."""

from kerasgen.checkpoints.checkpoint import CONFIG, FILES, METADATA, WEIGHTS, load_checkpoint, save_checkpoint, sha256

__all__ = ["CONFIG", "FILES", "METADATA", "WEIGHTS", "load_checkpoint", "save_checkpoint", "sha256"]
