#!/usr/bin/env bash
# confidenceinterval's macro F1 counts the numbers below the first label as classes: labels from 1 on have another score than from 0 on.
#
# Guess:    the macro F1 and its interval do not depend on how the classes are numbered, as precision and recall of the package do not.
# Happens:  three classes that are numbered 1, 2, 3 have a macro F1 of 0.621 instead of 0.828, and numbered 10, 20, 30 one of 0.080. The
#           intervals move along, also those of a bootstrap. The package's report has it next to a precision and a recall of 0.83.
# Cause:    the counts come from a confusion matrix of all numbers from 0 to the largest label. Classes that do not exist have an F1 of 0
#           and count in the mean. Precision and recall come from the classes that exist.
# Matters:  labels from 1 on, codes with gaps, and a test set without one class are ordinary. The interval looks narrow and is of another
#           number. Number the classes 0, 1, 2 ... first, for example with np.unique(..., return_inverse=True) over both arrays.
# Versions: confidenceinterval 1.0.5, numpy 2.4.6, scipy 1.17.1, scikit-learn 1.9.1, pandas 3.1.1, Python 3.11.7.
# Date:     2026-11
# Output:
#   confidenceinterval 1.0.5
#   labels [0, 1, 2]: macro F1 0.828, interval (0.756, 0.901), bootstrap (0.779, 0.868); scikit-learn 0.828; macro recall 0.832
#   labels [1, 2, 3]: macro F1 0.621, interval (0.567, 0.676), bootstrap (0.584, 0.651); scikit-learn 0.828; macro recall 0.832
#   labels [10, 20, 30]: macro F1 0.080, interval (0.073, 0.087), bootstrap (0.075, 0.084); scikit-learn 0.828; macro recall 0.832
#   report for labels [10, 20, 30]: macro precision 0.83, recall 0.83, F1 0.08
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 pandas==3.1.1 \
    confidenceinterval==1.0.5

cat > check.py <<'PYTHON'
import sys
import warnings
from importlib.metadata import version

import confidenceinterval
import numpy as np
from confidenceinterval.classification_report import classification_report_with_ci
from sklearn.metrics import f1_score

warnings.simplefilter("ignore")
generator = np.random.default_rng(0)
truth = generator.integers(0, 3, 300)
guess = np.where(generator.random(300) < 0.75, truth, generator.integers(0, 3, 300))

print("confidenceinterval", version("confidenceinterval"))
found = []
for names in ([0, 1, 2], [1, 2, 3], [10, 20, 30]):
    arrays = np.array(names)[truth], np.array(names)[guess]
    value, (low, high) = confidenceinterval.f1_score(*arrays, average="macro")
    _, (below, above) = confidenceinterval.f1_score(
        *arrays, average="macro", method="bootstrap_percentile", n_resamples=500, random_state=np.random.default_rng(0)
    )
    recall, _ = confidenceinterval.recall_score(*arrays, average="macro")
    print(
        f"labels {names}: macro F1 {value:.3f}, interval ({low:.3f}, {high:.3f}), bootstrap ({below:.3f}, {above:.3f}); "
        f"scikit-learn {f1_score(*arrays, average='macro'):.3f}; macro recall {recall:.3f}"
    )
    found.append(round(value / f1_score(*arrays, average="macro"), 4))
report = classification_report_with_ci(*arrays).set_index("Class").loc["macro"]
print("report for labels {}: macro precision {:.2f}, recall {:.2f}, F1 {:.2f}".format(names, *report[["Precision", "Recall", "F1-Score"]]))
ok = found == [1, 0.75, round(3 / 31, 4)] and report["F1-Score"] < 0.1 < 0.8 < report["Recall"]
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
