#!/usr/bin/env bash
# emlearn cuts features to whole numbers: a forest for features between 0 and 1 always says the same class.
#
# Guess:    emlearn.convert(forest).predict(x) gives what the forest of scikit-learn gives. emlearn's documentation says that "the default
#           feature representation in emlearn trees is float".
# Happens:  a forest and a nearest neighbour that are right for all clips are right for a third of them after the conversion, which is
#           chance. With the same features times 10 the forest differs in a few clips, and times 100 in none. Nothing is said.
# Cause:    the default type of the features is int16_t, for the thresholds in the C code and for the values that predict() passes on. The
#           cast cuts them towards zero. KNeighborsClassifier has no other type. Naive Bayes and the MLP are right at every scale.
# Matters:  zero-crossing rates, spectral flatness and all standardised features lie within -3 and 3. The model in the device is worthless,
#           though it was exact on the desk. Pass dtype="float" for trees; scale features for neighbours.
# Versions: emlearn 0.23.2, scikit-learn 1.9.1, numpy 2.4.6, scipy 1.17.1, Python 3.11.7, gcc 12.2.
# Date:     2026-11
# Output:
#   emlearn 0.23.2
#   features times 1: forest 0.33, as float 1.00, neighbours 0.33, naive Bayes 1.00
#   features times 10: forest 0.97, as float 1.00, neighbours 1.00, naive Bayes 1.00
#   features times 100: forest 1.00, as float 1.00, neighbours 1.00, naive Bayes 1.00
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 emlearn==0.23.2

cat > check.py <<'PYTHON'
import sys
import warnings
from importlib.metadata import version

import emlearn
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier

warnings.simplefilter("ignore")
generator = np.random.default_rng(0)
classes = np.arange(300) % 3
features = generator.normal(np.array([0.25, 0.5, 0.75])[classes, None], 0.05, (300, 4)).clip(0.01, 0.99)


def agreement(model, scale, **options):
    """Return the share of clips for which the converted model says what the model says."""
    x = features * scale
    model.fit(x, classes)
    return (emlearn.convert(model, **options).predict(x) == model.predict(x)).mean()


def forest():
    return RandomForestClassifier(10, max_depth=5, random_state=0)


print("emlearn", version("emlearn"))
found = {}
for scale in (1, 10, 100):
    found[scale] = (
        agreement(forest(), scale),
        agreement(forest(), scale, dtype="float"),
        agreement(KNeighborsClassifier(3), scale),
        agreement(GaussianNB(), scale),
    )
    print("features times {}: forest {:.2f}, as float {:.2f}, neighbours {:.2f}, naive Bayes {:.2f}".format(scale, *found[scale]))
ok = max(found[1][0], found[1][2]) < 0.4 and min(found[1][1], found[1][3], *found[100]) > 0.99
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py 2> compiler.txt || { cat compiler.txt >&2; exit 1; }
