#!/usr/bin/env bash
# IRMAS has clips twice, some of them once as acoustic and once as electric guitar.
#
# Guess:    the training clips of IRMAS are different sounds, each with one main instrument, and clips of one number before "__"
#           are the parts of one excerpt, so a split by these numbers keeps what belongs together together.
# Happens:  56 pairs of training files are equal byte for byte under two numbers. In 9 pairs one file is in the folder of the acoustic
#           guitar and the other one in that of the electric guitar. 10 pairs of test files are equal, too.
# Matters:  a split by excerpt trains on test clips; for the 9 pairs no classifier with one answer can be right twice. Sounds that were
#           encoded again are not counted, so these are lower bounds.
# Source:   the MD5 sums of all files in the index that mirdata ships.
# Versions: mirdata 0.3.8, Python 3.11.7.
# Date:     2026-11
# Output:
#   mirdata 0.3.8: 6660 training and 2874 test files
#   32 pairs of gac
#   9 pairs of gac and gel
#   12 pairs of gel
#   10 pairs of test files
#   3 pairs of voi
#   56 of the training pairs have two numbers
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps mirdata==0.3.8

cat > check.py <<'PYTHON'
import json
import sys
from collections import Counter, defaultdict
from importlib.metadata import distribution

package = distribution("mirdata")
index = json.loads(package.locate_file("mirdata/datasets/indexes/irmas_index_1.0.json").read_text())
names = defaultdict(set)
for track in index["tracks"].values():
    name, md5 = track["audio"]
    names[md5].add(name)
training = sum(name.startswith("IRMAS-TrainingData") for each in names.values() for name in each)
tests = sum(len(each) for each in names.values()) - training
print(f"mirdata {package.version}: {training} training and {tests} test files")
counts, numbers = Counter(), 0
for each in names.values():
    if len(each) == 1:
        continue
    first, second = sorted(each)
    part, instrument = first.split("/")[:2]
    if part == "IRMAS-TrainingData":
        counts[" and ".join(sorted({instrument, second.split("/")[1]}))] += 1
        numbers += first.split("]")[-1].split("__")[0] != second.split("]")[-1].split("__")[0]
    else:
        counts["test files"] += 1
for what, count in sorted(counts.items()):
    print(f"{count} pairs of {what}")
print(f"{numbers} of the training pairs have two numbers")
sys.exit(0 if counts["gac and gel"] == 9 and counts["test files"] == 10 and numbers == 56 else "the behaviour has changed")
PYTHON
venv/bin/python check.py
