"""Datasets as Lightning data modules: each reads its own official layout and keeps its official split."""
