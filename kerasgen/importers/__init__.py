"""Weights of other libraries as checkpoints of ours (docs/importing.md)."""
