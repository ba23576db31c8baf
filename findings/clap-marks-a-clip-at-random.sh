#!/usr/bin/env bash
# CLAP's feature extractor in transformers calls one short clip of each batch a long one, at random.
#
# Guess:    ClapFeatureExtractor marks clips of more than 10 s in `is_longer`, so that the model combines a view of the
#           whole with three of its parts. For clips of 5 s, such as those of ESC-50, all marks are False, and
#           features and embeddings are the same each time.
# Happens:  In a batch without a long clip one clip is marked, another one each time. The embedding of the marked clip
#           differs from its own without the mark: the cosine of the two is 0.58 in an untrained model. A clip that is
#           alone in its batch is always marked.
# Cause:    With truncation="fusion", its default, the extractor draws an index by np.random.randint where no clip is
#           longer than 10 s, and sets its mark. The model has a branch for marked clips (enable_fusion=True).
# Matters:  Embeddings and zero-shot decisions of one clip per batch are those of another branch: they depend on the size
#           of the batch and on NumPy's global generator, and a service that takes clips one by one has other scores
#           than an evaluation in batches. Set `inputs["is_longer"][:] = False` where the clips are short.
# Versions: transformers 5.24.0, torch 2.13.0 on the CPU, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   transformers 5.24.0
#   marked of four clips of 5 s, eight times: 0 3 1 0 3 3 3 3
#   marks of one clip alone: True
#   cosine with the embedding without marks, marked clip: 0.58, the three others: 1.00 1.00 1.00
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0 transformers==5.24.0
export HF_HUB_OFFLINE=1

cat > check.py <<'PYTHON'
import warnings

import numpy as np
import torch
import transformers

warnings.simplefilter("ignore")
from transformers import ClapAudioConfig, ClapAudioModelWithProjection, ClapFeatureExtractor

print("transformers", transformers.__version__)
rng = np.random.default_rng(0)
clips = [0.1 * rng.normal(size=5 * 48000).astype(np.float32) for _ in range(4)]
extractor = ClapFeatureExtractor()


def features(clips):
    return extractor(clips, sampling_rate=48000, return_tensors="pt")


np.random.seed(0)
inputs = [features(clips) for _ in range(8)]
marked = [one["is_longer"].flatten().nonzero().flatten().tolist() for one in inputs]
print("marked of four clips of 5 s, eight times:", *(index for one in marked for index in one))
alone = [bool(features([clip])["is_longer"].all()) for clip in clips]
print("marks of one clip alone:", *sorted(set(alone)))

torch.manual_seed(0)
size = {"depths": [1, 1, 1, 1], "patch_embeds_hidden_size": 24, "num_attention_heads": [1, 2, 4, 8], "hidden_size": 192}
model = ClapAudioModelWithProjection(ClapAudioConfig(enable_fusion=True, **size)).eval()
with torch.no_grad():
    as_given = model(**inputs[0]).audio_embeds
    inputs[0]["is_longer"][:] = False
    unmarked = model(**inputs[0]).audio_embeds
near = torch.cosine_similarity(as_given, unmarked).tolist()
moved = near.pop(marked[0][0])
print(f"cosine with the embedding without marks, marked clip: {moved:.2f}, the three others:", *(f"{x:.2f}" for x in near))
assert all(len(one) == 1 for one in marked) and len({one[0] for one in marked}) > 1 and all(alone)
assert moved < 0.95 and min(near) > 0.9999
PYTHON
venv/bin/python check.py
