"""The zoo: its entries, the checkpoint format, loading by name, and the Hugging Face Hub."""

from kerasgen.zoo.checkpoint import load_checkpoint, save_checkpoint
from kerasgen.zoo.hub import publish
from kerasgen.zoo.inspection import inspect
from kerasgen.zoo.registry import checkpoint_folder, describe, entries, find_recipe, list_models, load

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
