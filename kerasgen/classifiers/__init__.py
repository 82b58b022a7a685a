"""Classifiers, which the other models are measured with."""
