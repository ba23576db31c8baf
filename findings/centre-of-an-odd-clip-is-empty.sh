#!/usr/bin/env bash
# auglib's Trim cuts the centre out of a clip only if it drops an even number of samples: of others little or nothing is left.
#
# Guess:    Trim(start_pos=None, duration=0.5) returns half a second from the centre of a clip, as its documentation says. A sample more or
#           less on one side makes no difference.
# Happens:  a clip of 16,000 samples gives 8,000, one of 16,001 gives none, and one of 8,101 gives 7,900. Nothing is said. Of the 41 lengths
#           from 16,000 to 16,040, 20 give an empty clip. In auglib.Augment an empty clip is written as a file without samples.
# Cause:    the samples that are too many are halved. If their number n is odd, n is added to the second half where 1 was meant, so that
#           2n - 1 samples are cut in place of n.
# Matters:  half of all lengths are odd. A step that pads afterwards makes silence of such a clip, and it keeps its label. Cut the centre
#           with clip[(len(clip) - n) // 2 :][:n].
# Versions: auglib 1.1.0, audiofile 1.6.1, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   auglib 1.1.0
#   8,000 samples from the centre of 16,000: 8,000
#   8,000 samples from the centre of 16,001: 0
#   8,000 samples from the centre of 8,101: 7,900
#   8,000 samples from the centre of 12,001: 4,000
#   20 of 41 lengths give an empty clip
#   a file of 16,001 samples is augmented to one of 0 samples
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 audiofile==1.6.1 audformat==1.4.3 auglib==1.1.0

cat > check.py <<'PYTHON'
import sys
from importlib.metadata import version
from pathlib import Path

import audformat
import audiofile
import auglib
import numpy as np

RATE = 16_000
centre = auglib.transform.Trim(start_pos=None, duration=0.5)


def kept(length):
    return len(centre(np.random.default_rng(0).normal(0, 0.1, length).astype("float32"), RATE))


print("auglib", version("auglib"))
seen = {length: kept(length) for length in (16_000, 16_001, 8_101, 12_001)}
for length, samples in seen.items():
    print(f"8,000 samples from the centre of {length:,}: {samples:,}")
empty = sum(kept(length) == 0 for length in range(16_000, 16_041))
print(f"{empty} of 41 lengths give an empty clip")
path = str(Path("clip.wav").resolve())
audiofile.write(path, np.full(16_001, 0.1, "float32"), RATE)
index = auglib.Augment(centre).augment(audformat.filewise_index([path]), cache_root="cache")
written = audiofile.samples(index.get_level_values("file")[0])
print(f"a file of 16,001 samples is augmented to one of {written} samples")
ok = seen == {16_000: 8_000, 16_001: 0, 8_101: 7_900, 12_001: 4_000} and empty == 20 and written == 0
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
