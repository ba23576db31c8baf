#!/usr/bin/env bash
# Hugging Face's audio-classification pipeline hears the first 10.24 s of a recording and says nothing of the rest.
#
# Guess:    pipeline("audio-classification") on a recording of a minute combines windows, as its sister for speech
#           recognition can (chunk_length_s), or at least warns that the model takes ten seconds.
# Happens:  What comes after 10.24 s has no influence: noise replaced by a loud tone from 10.26 s on gives the same scores,
#           to the last digit, without a warning. From 9 s on, they change.
# Cause:    The feature extractor of the Audio Spectrogram Transformer cuts after 1,024 frames, and the pipeline gives it
#           the whole recording at once.
# Matters:  Labels of whole recordings, such as an hour from a sensor or a song, are of their beginning. Scores of datasets
#           whose clips are longer (MUSAN, GTZAN, FSD50K up to 30 s) are scores of their first third.
# Versions: transformers 5.24.0, torch 2.13.0, numpy 2.4.6, Python 3.11.7; a small model with random weights.
# Date:     2026-11
# Output:
#   transformers 5.24.0
#   a tone from 9.0 s to the end of a minute: scores move by 0.096
#   a tone from 10.26 s to the end of a minute: scores move by 0.000
#   warnings about the length: 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0 transformers==5.24.0
export HF_HUB_OFFLINE=1 HF_HOME="$folder/home"

cat > check.py <<'PYTHON'
import warnings

import numpy as np
import torch
import transformers
from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification, pipeline

RATE = 16_000
torch.manual_seed(0)
config = ASTConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, num_labels=10)
model = ASTForAudioClassification(config).eval()
with torch.no_grad():
    model.classifier.dense.weight.mul_(50)  # or else all classes are as likely
classify = pipeline("audio-classification", model=model, feature_extractor=ASTFeatureExtractor(), top_k=None)
minute = (0.1 * np.random.default_rng(0).standard_normal(60 * RATE)).astype(np.float32)


def scores(clip):
    return {each["label"]: each["score"] for each in classify(clip)}


def change(seconds):
    """Return how far scores move where a loud tone replaces everything from some second on."""
    other = minute.copy()
    start = round(seconds * RATE)
    other[start:] = 0.9 * np.sin(0.2 * np.arange(len(other) - start))
    before, after = scores(minute), scores(other)
    return max(abs(before[name] - after[name]) for name in before)


print("transformers", transformers.__version__)
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    moves = {seconds: change(seconds) for seconds in (9.0, 10.26)}
for seconds, moved in moves.items():
    print(f"a tone from {seconds} s to the end of a minute: scores move by {moved:.3f}")
print(f"warnings about the length: {sum('length' in str(each.message) for each in said)}")
assert moves[10.26] == 0 < moves[9.0]
PYTHON
venv/bin/python check.py 2> errors.txt || { cat errors.txt; exit 1; }
