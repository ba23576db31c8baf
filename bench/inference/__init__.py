"""Use of trained models, without the data that they were trained on."""

from bench.inference.classifier import Classifier, Windows
from bench.inference.references import load_model

__all__ = ["Classifier", "Windows", "load_model"]
