"""Figures of a model on a test set."""

from kerasgen.metrics.evaluation import evaluate

__all__ = ["evaluate"]
