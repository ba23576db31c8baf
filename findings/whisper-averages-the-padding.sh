#!/usr/bin/env bash
# Whisper's classifier averages over the padding: nine tenths of what it sees of a clip of three seconds are silence.
#
# Guess:    WhisperForAudioClassification averages the frames of the clip. Its extractor returns the mask of them when asked, and the
#           model takes that mask, as Wav2Vec2ForSequenceClassification does.
# Happens:  the logits are those of the mean over all 1,500 frames of 30 s, of which a clip of three seconds fills 150. The mask is taken
#           without a word and changes nothing; neither does a mask of ones.
# Cause:    `forward` has no argument for a mask. What it does not know goes into `**kwargs`.
# Matters:  a sound counts for less the shorter it is, and the frames of the padding, which attend to the sound, carry the decision. A
#           classifier that was fine-tuned on clips of ten seconds is another one on clips of one second.
# Versions: transformers 5.24.0, torch 2.13.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   transformers 5.24.0
#   frames: 1500, of which the clip fills 150
#   logits are those of the mean over: all frames
#   with the extractor's mask: the same logits; with a mask of ones: the same logits
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0 transformers==5.24.0

cat > check.py <<'PYTHON'
import sys

import numpy as np
import torch
import transformers
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForAudioClassification

torch.manual_seed(0)
configuration = WhisperConfig(
    d_model=32, encoder_layers=1, encoder_attention_heads=2, encoder_ffn_dim=32, decoder_layers=1,
    decoder_attention_heads=2, decoder_ffn_dim=32, num_labels=3,
)
model = WhisperForAudioClassification(configuration).eval()
clip = 0.1 * np.random.default_rng(0).standard_normal(3 * 16_000).astype(np.float32)
given = WhisperFeatureExtractor()(clip, sampling_rate=16_000, return_tensors="pt", return_attention_mask=True)
features, mask = given["input_features"], given["attention_mask"]

with torch.no_grad():
    logits = model(features).logits
    masked = model(input_features=features, attention_mask=mask).logits
    ones = model(input_features=features, attention_mask=torch.ones_like(mask)).logits
    frames = model.projector(model.encoder(features).last_hidden_state)
    filled = int(mask.sum()) // 2  # the encoder halves the frames
    means = {"all frames": frames.mean(1), "the clip's frames": frames[:, :filled].mean(1)}
    alike = [name for name, mean in means.items() if torch.allclose(model.classifier(mean), logits, atol=1e-6)]

words = ["the same logits" if torch.equal(logits, other) else "other logits" for other in (masked, ones)]
print("transformers", transformers.__version__)
print(f"frames: {frames.shape[1]}, of which the clip fills {filled}")
print("logits are those of the mean over:", " or ".join(alike))
print(f"with the extractor's mask: {words[0]}; with a mask of ones: {words[1]}")
ok = alike == ["all frames"] and (frames.shape[1], filled) == (1500, 150) and set(words) == {"the same logits"}
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
