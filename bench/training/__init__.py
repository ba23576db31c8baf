"""Training: from names in a run to a trained model."""
