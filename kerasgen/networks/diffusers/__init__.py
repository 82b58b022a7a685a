"""Networks that compute what those of Hugging Face's diffusers do, for its weights (docs/importing.md)."""
