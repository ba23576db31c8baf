"""Training: datasets and models built from a run's names, and the training loop."""
