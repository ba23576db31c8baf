"""Training steps that every model shares: augmentation, losses, optimisers, averages of weights."""
