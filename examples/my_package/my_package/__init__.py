"""A model and a dataset for audio-classification-bench, in a package of their own."""
