"""The zoo: its entries, the checkpoint format, loading by name, and the Hugging Face Hub."""

from kerasgen.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from kerasgen.hub.client import publish
from kerasgen.hub.inspection import inspect
from kerasgen.hub.registry import checkpoint_folder, describe, entries, find_recipe, list_models, load

__all__ = [
    "checkpoint_folder",
    "describe",
    "entries",
    "find_recipe",
    "inspect",
    "list_models",
    "load",
    "load_checkpoint",
    "publish",
    "save_checkpoint",
]
