"""Evaluation: a trained model's logits on the test fold, and every score computed from them."""
