#!/usr/bin/env bash
# Hugging Face's class_encode_column gives integer labels other integers.
#
# Guess:    class_encode_column on a column with the ids 0 to 49, such as ESC-50's `target`, gives a ClassLabel column
#           with the same ids: what is encoded is counted from 0 already.
# Happens:  2 becomes 12, 10 becomes 2, 49 becomes 44: only 0 and 1 keep their number. Up to ten classes nothing changes.
#           No warning is given. `int2str(2)` is "10".
# Cause:    The values are written as text and sorted as text: "0", "1", "10", "11", ..., "19", "2".
# Matters:  train_test_split(stratify_by_column=...) asks for a ClassLabel column, and this call makes one. A list of class
#           names, a confusion matrix, a published model or predictions that use the dataset's own ids are then wrong for
#           48 of 50 classes, and a score against them is near chance. `cast_column("target", ClassLabel(names=...))` with
#           the names in order keeps the ids.
# Versions: datasets 5.2.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   datasets 5.2.0
#   10 classes: 10 keep their id
#   50 classes: 2 keep their id; 2 becomes 12, 10 becomes 2, 49 becomes 44; int2str(2) is '10'
#   50 classes, cast_column: 50 keep their id
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 datasets==5.2.0
export HF_HUB_OFFLINE=1 HF_HOME="$folder/home"

cat > check.py <<'PYTHON'
import datasets
from datasets import ClassLabel, Dataset

datasets.disable_progress_bars()
print("datasets", datasets.__version__)


def kept(ids):
    return sum(before == after for before, after in enumerate(ids))


ten = list(Dataset.from_dict({"target": list(range(10))}).class_encode_column("target")["target"])
print(f"10 classes: {kept(ten)} keep their id")
table = Dataset.from_dict({"target": list(range(50))})
encoded = table.class_encode_column("target")
ids, name = list(encoded["target"]), encoded.features["target"].int2str(2)
print(
    f"50 classes: {kept(ids)} keep their id; 2 becomes {ids[2]}, 10 becomes {ids[10]}, 49 becomes {ids[49]}; "
    f"int2str(2) is {name!r}"
)
cast = list(table.cast_column("target", ClassLabel(names=[f"class {i}" for i in range(50)]))["target"])
print(f"50 classes, cast_column: {kept(cast)} keep their id")
assert kept(ten) == 10 and kept(ids) == 2 and (ids[2], ids[10], name) == (12, 2, "10") and kept(cast) == 50
PYTHON
venv/bin/python check.py
