#!/usr/bin/env bash
# Hugging Face's class_encode_column numbers the classes of each split alone: "dog" is 2 in the training set and 1 in the test set.
#
# Guess:    class_encode_column of a DatasetDict makes one list of classes for all its splits, as a model has one.
# Happens:  a test set in which one class does not occur gets other integers for the same names. A model that names every test clip rightly
#           has an accuracy of 0 by the integers. Nothing is said.
# Cause:    DatasetDict.class_encode_column calls Dataset.class_encode_column for each split, which sorts the names that occur there.
# Matters:  rare classes miss from small splits. Scores of later classes are wrong, and confusion matrices are shifted by one. The splits
#           keep their names, so what is shown as text looks right. Cast all splits to one ClassLabel(names=...) with cast_column instead.
# Versions: datasets 5.2.0, pyarrow 26.0.1, numpy 2.4.6, pandas 3.1.1, Python 3.11.7.
# Date:     2026-11
# Output:
#   datasets 5.2.0
#   train: ['bird', 'cat', 'dog', 'rain'], dog is 2
#   test: ['cat', 'dog', 'rain'], dog is 1
#   accuracy of a perfect model: 0 with class_encode_column, 1 with cast_column
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 pandas==3.1.1 pyarrow==26.0.1 datasets==5.2.0

export HF_HUB_OFFLINE=1 HF_HOME="$folder/cache"
cat > check.py <<'PYTHON'
import sys
from importlib.metadata import version

from datasets import ClassLabel, Dataset, DatasetDict, disable_progress_bars

disable_progress_bars()
clips = DatasetDict(
    train=Dataset.from_dict({"name": ["bird", "cat", "dog", "rain"] * 5}),
    test=Dataset.from_dict({"name": ["cat", "dog", "rain"] * 2}),
)


def accuracy(encoded):
    """Score the integers of a perfect model, one that knows the integers of the training set."""
    model = dict(zip(clips["train"]["name"], encoded["train"]["name"], strict=True))
    guesses = [model[name] for name in clips["test"]["name"]]
    return sum(guess == truth for guess, truth in zip(guesses, encoded["test"]["name"], strict=True)) / len(guesses)


print("datasets", version("datasets"))
encoded = clips.class_encode_column("name")
for split, rows in encoded.items():
    print(f"{split}: {rows.features['name'].names}, dog is {rows.features['name'].str2int('dog')}")
cast = clips.cast_column("name", ClassLabel(names=["bird", "cat", "dog", "rain"]))
found = accuracy(encoded), accuracy(cast)
print(f"accuracy of a perfect model: {found[0]:g} with class_encode_column, {found[1]:g} with cast_column")
sys.exit(0 if found == (0, 1) else "the behaviour has changed")
PYTHON
venv/bin/python check.py
