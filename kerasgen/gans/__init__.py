"""Generative adversarial networks, and translation from image to image."""
