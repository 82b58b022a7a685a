"""What tells the normal from the anomalous, by the score of another model."""
