#!/usr/bin/env bash
# TAU Urban Acoustic Scenes: the leaderboard set of 2019 is part of its evaluation set, and the mobile evaluation sets have clips twice.
#
# Guess:    the leaderboard set, on which systems could be scored during the challenge, and the evaluation set, which decides it, have
#           different clips; and each clip of an evaluation set counts once.
# Happens:  all 1,200 files of the leaderboard set of 2019 are files of the evaluation set (7,200), byte for byte. In the mobile
#           evaluation set of 2020, 334 files are 166 different ones. The evaluation set of 2022 and 2023, which has the clips in ten
#           parts, has each tenth of them again: 3,340 files are 1,660.
# Matters:  a system that was chosen by the leaderboard's score has been chosen on a sixth of the evaluation set. Scores and their
#           intervals count 168 clips twice. The names are numbers and show nothing. Development sets have no such pairs.
# Source:   the MD5 sums of all files in the indexes that soundata ships.
# Versions: soundata 0.1.3, Python 3.11.7.
# Date:     2026-11
# Output:
#   soundata 0.1.3
#   2019: 1200 leaderboard files, 1200 of them are evaluation files
#   tau2020uas_mobile, development: 23035 files; 0 of them are 0 different ones
#   tau2020uas_mobile, evaluation: 11880 files; 334 of them are 166 different ones
#   tau2022uas_mobile, development: 230350 files; 0 of them are 0 different ones
#   tau2022uas_mobile, evaluation: 118800 files; 3340 of them are 1660 different ones
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps soundata==0.1.3

cat > check.py <<'PYTHON'
import json
import sys
from collections import Counter
from importlib.metadata import distribution

package = distribution("soundata")


def parts(dataset):
    """Return how often each MD5 sum is there, by part of a dataset."""
    index = json.loads(package.locate_file(f"soundata/datasets/indexes/{dataset}_index.json").read_text())
    found = {}
    for clip in index["clips"].values():
        name, md5 = clip["audio"]
        found.setdefault(name.split("/")[0].rsplit("-", 1)[1], Counter())[md5] += 1
    return found


print("soundata", package.version)
of_2019 = parts("tau2019uas")
shared = len(of_2019["leaderboard"].keys() & of_2019["evaluation"].keys())
print(f"2019: {of_2019['leaderboard'].total()} leaderboard files, {shared} of them are evaluation files")
numbers = [shared]
for dataset in ("tau2020uas_mobile", "tau2022uas_mobile"):
    for part, counts in sorted(parts(dataset).items()):
        several = [count for count in counts.values() if count > 1]
        numbers += [sum(several), len(several)]
        print(f"{dataset}, {part}: {counts.total()} files; {sum(several)} of them are {len(several)} different ones")
sys.exit(0 if numbers == [1200, 0, 0, 334, 166, 0, 0, 3340, 1660] else "the behaviour has changed")
PYTHON
venv/bin/python check.py
