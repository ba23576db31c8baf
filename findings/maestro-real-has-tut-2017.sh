#!/usr/bin/env bash
# All recordings of TUT Sound Events 2017 are in MAESTRO Real, the data of DCASE 2023's task 4B, under other names and in other splits.
#
# Guess:    the data of a challenge in 2023 are new recordings, or at least its evaluation set is, so models that were trained on an
#           earlier challenge's development set can be tested on it.
# Happens:  each of the 32 recordings of TUT Sound Events 2017 (24 for development, 8 for evaluation) is byte for byte one of the 75
#           recordings of 2023: 7 development recordings of 2017 are evaluation recordings of 2023, and 4 evaluation recordings of
#           2017 are development recordings of 2023. Their class "street" is "city_center" in 15 of them and "residential_area" in 17.
# Matters:  one set cannot train what the other one tests; soft labels of 2023 and hard labels of 2017 are of the same sounds; and the
#           names of the files show none of it.
# Source:   the MD5 sums of all files in the indexes that soundata ships.
# Versions: soundata 0.1.3, Python 3.11.7.
# Date:     2026-11
# Output:
#   soundata 0.1.3: 32 recordings of 2017, 75 of 2023, 32 in both
#   development of 2017 in development of 2023: 17
#   development of 2017 in evaluation of 2023: 7
#   evaluation of 2017 in development of 2023: 4
#   evaluation of 2017 in evaluation of 2023: 4
#   street is now city_center: 15, street is now residential_area: 17
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


def files(dataset):
    """Return the names of a dataset's recordings by MD5 sum."""
    index = json.loads(package.locate_file(f"soundata/datasets/indexes/{dataset}_index.json").read_text())
    return {md5: name for name, md5 in (clip["audio"] for clip in index["clips"].values())}


old, new = files("tut2017se"), files("dcase23_task4b")
pairs, scenes = Counter(), Counter()
for md5 in old.keys() & new.keys():
    pairs[old[md5].split("/")[0].rsplit("-", 1)[1], new[md5].split("/")[0].split("_")[0].lower()] += 1
    scenes[old[md5].split("/")[2], new[md5].split("/")[1]] += 1
print(f"soundata {package.version}: {len(old)} recordings of 2017, {len(new)} of 2023, {sum(pairs.values())} in both")
for (before, after), count in sorted(pairs.items()):
    print(f"{before} of 2017 in {after} of 2023: {count}")
print(", ".join(f"{before} is now {after}: {count}" for (before, after), count in sorted(scenes.items())))
sys.exit(0 if sorted(pairs.values()) == [4, 4, 7, 17] and len(old) == 32 else "the behaviour has changed")
PYTHON
venv/bin/python check.py
