"""Calibration: whether probabilities mean what they say, from kept logits, without training."""
