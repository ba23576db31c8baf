"""Profiling: a model's size and speed, and the machine it was measured on."""
