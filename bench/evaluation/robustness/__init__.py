"""Robustness: kept models are evaluated again, without training, on disturbed copies of their test clips."""
