#!/usr/bin/env bash
# FSDnoisy18k and FSD50K hold the same files on opposite sides of their splits.
#
# Guess:    two published datasets of one group have different clips, or those that they share are for training in both, so a model that
#           is trained on FSDnoisy18k can be tested on FSD50K.
# Happens:  374 of the 10,231 evaluation clips of FSD50K are training clips of FSDnoisy18k, byte for byte, and 261 of the 947 test clips
#           of FSDnoisy18k are development clips of FSD50K. Inside FSD50K one file is in both parts (124855 and 199878).
# Cause:    both take sounds from Freesound, and the splits were drawn for each dataset by itself.
# Matters:  pre-training on one and testing on the other, or training on both, tests on training clips. Files with other bytes and the
#           same sound are not counted here, so these are lower bounds.
# Source:   the MD5 sums of all files in the index that soundata ships.
# Versions: soundata 0.1.3, Python 3.11.7.
# Date:     2026-11
# Output:
#   soundata 0.1.3: FSD50K 40966 + 10231 files, FSDnoisy18k 17582 + 947 files
#   FSD50K evaluation and FSDnoisy18k train: 374 files
#   FSD50K development and FSDnoisy18k test: 261 files
#   FSD50K development and evaluation: 1 file
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps soundata==0.1.3

cat > check.py <<'PYTHON'
import json
import sys
from importlib.metadata import distribution

package = distribution("soundata")


def files(dataset):
    """Return the MD5 sums of a dataset's files by folder."""
    index = json.loads(package.locate_file(f"soundata/datasets/indexes/{dataset}_index.json").read_text())
    folders = {}
    for clip in index["clips"].values():
        name, md5 = clip["audio"]
        folders.setdefault(name.split("/")[0].rsplit(".", 1)[1], []).append(md5)
    return folders


whole, noisy = files("fsd50k"), files("fsdnoisy18k")
dev, evaluation, train, test = whole["dev_audio"], whole["eval_audio"], noisy["audio_train"], noisy["audio_test"]
print(
    f"soundata {package.version}: FSD50K {len(dev)} + {len(evaluation)} files, "
    f"FSDnoisy18k {len(train)} + {len(test)} files"
)
shared = [len(set(a) & set(b)) for a, b in ((evaluation, train), (dev, test), (dev, evaluation))]
print(f"FSD50K evaluation and FSDnoisy18k train: {shared[0]} files")
print(f"FSD50K development and FSDnoisy18k test: {shared[1]} files")
print(f"FSD50K development and evaluation: {shared[2]} file")
sys.exit(0 if shared == [374, 261, 1] else "the behaviour has changed")
PYTHON
venv/bin/python check.py
