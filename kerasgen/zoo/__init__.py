"""The zoo: its entries, the checkpoint format, and loading by name."""

from kerasgen.zoo.checkpoint import load_checkpoint, save_checkpoint
from kerasgen.zoo.registry import describe, entries, find_recipe, list_models, load

__all__ = ["describe", "entries", "find_recipe", "list_models", "load", "load_checkpoint", "save_checkpoint"]
