"""Audio classifiers, one paper per file, and the front-ends that compute their features."""
