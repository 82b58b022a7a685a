"""The zoo's entries, loading by name, and the Hugging Face Hub."""
