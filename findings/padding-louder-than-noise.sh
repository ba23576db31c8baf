#!/usr/bin/env bash
# The padding of the Audio Spectrogram Transformer's features is louder than noise at -20 dB, not silence.
#
# Guess:    ASTFeatureExtractor fills a clip of 5 s up to 10.24 s with silence: the added frames look like digital zeros.
# Happens:  Frames of digital silence have the value -1.28, of white noise at -60 dB -0.62, at -20 dB 0.37. The padding
#           has 0.47: it is a plateau above the noise. A clip with 5.24 s of zeros behind it has other features by 1.74
#           in half of its frames, although it sounds the same.
# Cause:    Zeros are added to the logarithms, and a logarithm of 0 is an energy of 1, where silence has -15.9. The
#           normalisation with AudioSet's mean and deviation comes afterwards.
# Matters:  Clips of ESC-50 (5 s), UrbanSound8K (at most 4 s) and RAVDESS (3 to 4 s) are padded in more than half of their
#           frames. Features of two copies of one clip, one of them padded with zeros in its file, disagree, and a short
#           clip ends in the loudest edge of its spectrogram. Repeating the clip, or its own training, avoids it.
# Versions: transformers 5.24.0 (its NumPy path), numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   transformers 5.24.0
#   digital silence: mean -1.28
#   noise at -60 dB: mean -0.62
#   noise at -20 dB: mean 0.37
#   padding: mean 0.47
#   zeros in the file instead: 1.74 to 1.74 away in 518 of 1024 frames
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0 transformers==5.24.0
export HF_HUB_OFFLINE=1 HF_HOME="$folder/home"

cat > check.py <<'PYTHON'
import numpy as np
import transformers
from transformers import ASTFeatureExtractor

extractor = ASTFeatureExtractor()
noise = np.random.default_rng(0).standard_normal(5 * 16_000)


def features(clip):
    return extractor(clip, sampling_rate=16_000, return_tensors="np").input_values[0]


values = {
    "digital silence": features(np.zeros(80_000))[:490],
    "noise at -60 dB": features(1e-3 * noise)[:490],
    "noise at -20 dB": features(0.1 * noise)[:490],
    "padding": features(0.1 * noise)[500:],
}
print("transformers", transformers.__version__)
for name, part in values.items():
    print(f"{name}: mean {part.mean():.2f}")
same = features(np.concatenate([0.1 * noise, np.zeros(round(5.24 * 16_000))]))
away = np.abs(same - features(0.1 * noise))[502:1020]
print(f"zeros in the file instead: {away.min():.2f} to {away.max():.2f} away in {len(away)} of 1024 frames")
means = [part.mean() for part in values.values()]
assert means == sorted(means) and values["padding"].std() < 1e-6 and away.min() > 1.7
PYTHON
venv/bin/python check.py 2> errors.txt || { cat errors.txt; exit 1; }
