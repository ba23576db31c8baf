#!/usr/bin/env bash
# safetensors writes other bytes each time for the same tensors, if they have two or more entries of metadata.
#
# Guess:    The format has no clock and no code, and the tensors are sorted, so equal tensors and metadata give equal
#           files. It is what one takes for a digest of a model.
# Happens:  With no metadata or one entry, 200 saves give one file. With two entries they give 2 different files, with
#           three 6: every order of the entries occurs, also within one process. The tensors read back equal.
# Cause:    The metadata is a hash map with a random seed (Rust's HashMap), and the header is written in its order.
# Matters:  A model card's fields (classes, sample rate, licence) belong into the metadata. A SHA-256 of the file then
#           changes when the same model is saved again: a registry stores it twice, "reproducible" builds differ, and a
#           digest in a record says that the weights are others. Put one entry that holds JSON, or hash the tensors.
# Versions: safetensors 0.8.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   safetensors 0.8.0
#   0 entries of metadata: 1 different file among 200 saves
#   1 entry of metadata: 1 different file among 200 saves
#   2 entries of metadata: 2 different files among 200 saves
#   3 entries of metadata: 6 different files among 200 saves
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 safetensors==0.8.0

cat > check.py <<'PYTHON'
import numpy as np
import safetensors
from safetensors.numpy import load, save

print("safetensors", safetensors.__version__)
weights = {"layer.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "layer.bias": np.ones(2, np.float32)}
card = {"classes": "dog,rain", "rate": "32000", "licence": "MIT"}
for count, wanted in ((0, 1), (1, 1), (2, 2), (3, 6)):
    entries = dict(list(card.items())[:count]) or None
    files = {save(weights, entries) for _ in range(200)}
    for content in files:
        assert all(np.array_equal(value, weights[name]) for name, value in load(content).items())
    assert len(files) == wanted, (count, len(files))
    words = f"{count} entr{'y' if count == 1 else 'ies'} of metadata"
    print(f"{words}: {len(files)} different file{'s' if len(files) > 1 else ''} among 200 saves")
PYTHON
venv/bin/python check.py
