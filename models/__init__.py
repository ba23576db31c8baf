"""Audio classifiers, one paper per file, and the front-ends they listen through."""
