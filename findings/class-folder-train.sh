#!/usr/bin/env bash
# Hugging Face's audiofolder loses most of a dataset when one class, or one file, is called like a split.
#
# Guess:    load_dataset("audiofolder") of airplane/, dog/ and train/ with four clips each gives 12 clips in three classes;
#           "train" is one of ESC-50's 50 classes. A file called dog_test_4.wav among nine is a clip like the others.
# Happens:  The folder train/ becomes the split "train": 4 clips remain, 8 are gone, and there is no label left. Where one
#           file has "test" between delimiters in its name, the whole dataset is that file, as split "test". Nothing is
#           reported in either case. Without such names all clips are there.
# Cause:    The patterns of splits (train, test, validation and their synonyms: dev, val, eval) are tried on folders and
#           on file names before anything is known about classes, and only what matches a pattern is kept.
# Matters:  Own sounds of vehicles, crash tests, hearing tests. Give `data_files={"train": "**"}`, which keeps all files
#           (and name the class folders otherwise, where the labels shall come from them).
# Versions: datasets 5.2.0, numpy 2.4.6, soundfile 0.14.0, Python 3.11.7.
# Date:     2026-11
# Output:
#   datasets 5.2.0
#   three classes, one called train: {'train': 4} of 12 files
#   three classes, one called tram: {'train': 12} of 12 files
#   nine files, one called dog_test_4.wav: {'test': 1} of 9 files
#   nine files, one called dog_4.wav: {'train': 9} of 9 files
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 soundfile==0.14.0 datasets==5.2.0

cat > check.py <<'PYTHON'
from pathlib import Path
from tempfile import mkdtemp

import datasets
import numpy as np
import soundfile


def splits(names):
    """Return the number of files in each split that audiofolder finds in a tree of clips."""
    root = Path(mkdtemp())
    for name in names:
        (root / name).parent.mkdir(exist_ok=True)
        soundfile.write(root / name, np.zeros(800), 16000)
    found = datasets.load_dataset_builder("audiofolder", data_dir=str(root)).config.data_files
    return {str(split): len(files) for split, files in found.items()}


print("datasets", datasets.__version__)
for third, expected in (("train", {"train": 4}), ("tram", {"train": 12})):
    seen = splits(f"{name}/{i}.wav" for name in ("airplane", "dog", third) for i in range(4))
    print(f"three classes, one called {third}: {seen} of 12 files")
    assert seen == expected
for ninth, expected in (("dog_test_4", {"test": 1}), ("dog_4", {"train": 9})):
    seen = splits([f"{name}/{name}_{i}.wav" for name in ("airplane", "dog") for i in range(4)] + [f"dog/{ninth}.wav"])
    print(f"nine files, one called {ninth}.wav: {seen} of 9 files")
    assert seen == expected
PYTHON
HF_HUB_OFFLINE=1 HF_HOME="$folder/cache" venv/bin/python check.py
