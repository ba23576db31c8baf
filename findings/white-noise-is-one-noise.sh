#!/usr/bin/env bash
# auglib adds the same white noise to every clip, in every run: all variants of an augmented clip are one file.
#
# Guess:    WhiteNoiseGaussian and WhiteNoiseUniform draw noise for each call, as PinkNoise of the same package does. Without a seed,
#           three variants of a clip are three sounds.
# Happens:  the noise that two clips get has a correlation of 1. It is the noise of numpy's default_rng(0), in each process, also if no
#           seed was set. auglib.seed(7) chooses another noise, which is again the same for all clips. augment(..., num_variants=3) writes
#           three equal files. With PinkNoise the correlation is about 0, and the three files differ.
# Cause:    both transforms make a new generator in each call, from the seed that was set last. It is 0 if none was set.
# Matters:  a network sees one fixed pattern on all noisy clips, and can learn to subtract it. A test of robustness with the same package
#           has the pattern of the training, and looks better than it is. More variants add nothing but copies, which weigh more. Add
#           rng.normal() yourself, or use auglib's PinkNoise.
# Versions: auglib 1.1.0, audformat 1.4.3, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   auglib 1.1.0
#   WhiteNoiseGaussian: correlation of the noise of two clips 1.000; 3 variants are 1 sound
#   WhiteNoiseUniform: correlation of the noise of two clips 1.000; 3 variants are 1 sound
#   PinkNoise: correlation of the noise of two clips -0.045; 3 variants are 3 sounds
#   WhiteNoiseGaussian is default_rng(0).normal(): True; after auglib.seed(7) it is default_rng(7).normal(): True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 audformat==1.4.3 auglib==1.1.0

cat > check.py <<'PYTHON'
import sys
from importlib.metadata import version
from pathlib import Path

import audformat
import audiofile
import auglib
import numpy as np

RATE = 16_000


def added(transform, clip):
    return transform(clip.copy(), RATE) - clip


def correlation(first, second):
    return np.corrcoef(first.ravel(), second.ravel())[0, 1]


print("auglib", version("auglib"))
np.random.seed(5)  # numpy's global generator, from which PinkNoise draws
one, two = np.random.default_rng(5).normal(0, 0.1, (2, RATE)).astype("float32")
audiofile.write("clip.wav", one, RATE)
files = audformat.filewise_index([str(Path("clip.wav").resolve())])
seen = []
for name in ("WhiteNoiseGaussian", "WhiteNoiseUniform", "PinkNoise"):
    transform = getattr(auglib.transform, name)(snr_db=10)
    same = correlation(added(transform, one), added(transform, two))
    variants = auglib.Augment(transform).augment(files, cache_root="cache", num_variants=3).get_level_values("file")
    different = len({Path(file).read_bytes() for file in variants})
    sounds = f"{different} sound{'s' * (different > 1)}"
    print(f"{name}: correlation of the noise of two clips {same:.3f}; {len(variants)} variants are {sounds}")
    seen.append((round(same, 1) + 0, different))
white = auglib.transform.WhiteNoiseGaussian(snr_db=10)
first = correlation(added(white, one), np.random.default_rng(0).normal(size=RATE)) > 0.999
auglib.seed(7)
second = correlation(added(white, one), np.random.default_rng(7).normal(size=RATE)) > 0.999
print(f"WhiteNoiseGaussian is default_rng(0).normal(): {first}; after auglib.seed(7) it is default_rng(7).normal(): {second}")
sys.exit(0 if seen == [(1, 1), (1, 1), (0, 3)] and first and second else "the behaviour has changed")
PYTHON
venv/bin/python check.py
