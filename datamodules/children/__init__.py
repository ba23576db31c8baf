"""Processes that decode for this one and may die of it: what both sides of their pipes share."""
