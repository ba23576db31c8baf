#!/usr/bin/env bash
# litdata's train_test_split cuts whole chunks: classes of a dataset in the order of its folders miss from one side.
#
# Guess:    train_test_split(dataset, [0.8, 0.2]) draws clips at random, as functions of that name do elsewhere: each
#           class is in both parts.
# Happens:  1,000 clips of 20 classes, written class by class in chunks of 50 clips: 16 classes are in the one part and
#           the four others in the other one. Written in random order, each part has all 20.
# Cause:    The parts are made of whole chunks, which are shuffled, not their clips; only at a boundary is a chunk divided.
#           Chunks hold clips in the order of writing.
# Matters:  Clips are usually written in the order of folders or of a table, so a chunk holds clips of one class, or of
#           one recording. A network is then tested on classes that it has never seen. Nothing warns.
# Versions: litdata 0.2.76, torch 2.13.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   litdata 0.2.76
#   ordered: 800 and 200 clips of 16 and 4 classes, 0 in both parts
#   mixed: 800 and 200 clips of 20 and 20 classes, 20 in both parts
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0 litdata==0.2.76

cat > check.py <<'PYTHON'
import random

import litdata


def clip(number):
    return {"number": number, "class": number // 50}


def classes(name, order):
    """Write 1,000 clips of 20 classes in an order, split them, and return the number of classes of each part."""
    litdata.optimize(clip, order, output_dir=name, chunk_size=50, num_workers=1)
    parts = litdata.train_test_split(litdata.StreamingDataset(name), [0.8, 0.2])
    clips = [[(each["number"], each["class"]) for each in part] for part in parts]
    assert sorted(number for part in clips for number, _ in part) == list(range(1000))
    found = [{each for _, each in part} for part in clips]
    return [len(part) for part in clips], [len(each) for each in found], len(found[0] & found[1])


if __name__ == "__main__":
    mixed = list(range(1000))
    random.Random(0).shuffle(mixed)
    results = {name: classes(name, order) for name, order in (("ordered", list(range(1000))), ("mixed", mixed))}
    print("litdata", litdata.__version__)
    for name, (clips, kinds, both) in results.items():
        print(f"{name}: {clips[0]} and {clips[1]} clips of {kinds[0]} and {kinds[1]} classes, {both} in both parts")
    assert results["ordered"] == ([800, 200], [16, 4], 0)
    assert results["mixed"] == ([800, 200], [20, 20], 20)
PYTHON
LITDATA_LOG_FILE="$folder/log" venv/bin/python check.py 2> errors.txt | grep -E "^(litdata|ordered|mixed)" || { cat errors.txt; exit 1; }
