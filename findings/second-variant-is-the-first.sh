#!/usr/bin/env bash
# auglib writes the second variant of a seeded augmentation as a copy of the first, if the first was in its cache.
#
# Guess:    Augment(transform, seed=0).augment(files, num_variants=2) gives the same files in each run, as its documentation says of a
#           seed, and two variants differ. It does not matter that one variant was made before.
# Happens:  in an empty cache, the two variants of each clip differ. If one variant was made first, and two are asked for in a later run,
#           the second variant is equal to the first, byte for byte, for every clip. Nothing is said. The same happens after a run that
#           was interrupted between two variants.
# Cause:    the seed is set once, when the object is made. A variant in the cache is not computed, so nothing is drawn for it. The next
#           variant begins where the first had begun. The folder of the cache is named by the transform, its seed and the files, so that the
#           two cases cannot be told from each other.
# Matters:  a training set that was doubled, and then said to be tripled, has copies in it. What a seed gives depends on the history of a
#           folder. Compare the variants, or pass force=True and all variants at once.
# Versions: auglib 1.1.0, audformat 1.4.3, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   auglib 1.1.0
#   two variants at once: 4 different files of 4
#   one variant, then two: 2 different files of 4
#   one variant, then two with force=True: 4 different files of 4
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
random = np.random.default_rng(5)
paths = [Path(name).resolve() for name in ("dog.wav", "rain.wav")]
for path in paths:
    audiofile.write(str(path), random.normal(0, 0.1, RATE).astype("float32"), RATE)
files = audformat.filewise_index([str(path) for path in paths])


def run(cache, variants, force=False):
    """Return the bytes of the augmented files, as a new program would make them."""
    augment = auglib.Augment(auglib.transform.PinkNoise(snr_db=10), seed=0)
    index = augment.augment(files, cache_root=cache, num_variants=variants, force=force)
    return [Path(file).read_bytes() for file in index.get_level_values("file")]


print("auglib", version("auglib"))
at_once = run("cache-1", 2)
run("cache-2", 1)
later = run("cache-2", 2)
run("cache-3", 1)
forced = run("cache-3", 2, force=True)
for name, result in (
    ("two variants at once", at_once),
    ("one variant, then two", later),
    ("one variant, then two with force=True", forced),
):
    print(f"{name}: {len(set(result))} different files of {len(result)}")
ok = len(set(at_once)) == 4 and later[:2] == later[2:] == at_once[:2] and forced == at_once
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
