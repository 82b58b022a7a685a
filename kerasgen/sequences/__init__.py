"""Models of sequences of tokens."""
