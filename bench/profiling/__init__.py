"""Profiling: a model's complexity and latency, and a description of the machine."""
