"""Diffusion models and flow matching: a network that removes noise, and samplers that use it."""
