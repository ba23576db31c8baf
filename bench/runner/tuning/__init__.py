"""Choosing recipes by validation scores alone: random search and successive halving, within the folds."""
