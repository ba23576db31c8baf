#!/usr/bin/env bash
# dcase_util's Normalizer changes the features that it reads: a second normaliser of the same features has another mean.
#
# Guess:    accumulate() reads a container of features. Two normalisers that are given the same three containers are equal, and the
#           normaliser of a fold does not depend on the folds before it.
# Happens:  three containers have the means 0, 1 and 2. The first normaliser's mean is 1.0, the second's is 2.0, and the third's is 3.0.
#           Their deviations are 1.3, 1.0 and NaN, with a warning only for the NaN. The samples of the containers stay as they are. With
#           plain arrays in place of containers, all normalisers are equal.
# Cause:    a container computes its sums once and keeps them. The normaliser takes the first container's array of sums as its own, and adds
#           the other containers' sums to it in place. From then on the first container states the sums of all.
# Matters:  in a cross-validation with features in memory, each fold after the first is normalised with wrong numbers, and the result of a
#           fold depends on which folds were run before. Pass container.data, or a copy of the container.
# Versions: dcase_util 0.2.20, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   dcase_util 0.2.20
#   arrays: mean and deviation 1.0 and 1.3; 1.0 and 1.3; 1.0 and 1.3
#   containers: mean and deviation 1.0 and 1.3; 2.0 and 1.0; 3.0 and nan
#   the containers' samples are the same
#   the mean of a fold is 1.0 if it is the first, and 1.5 after another fold
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 librosa==0.11.0 dcase_util==0.2.20

cat > check.py <<'PYTHON'
import sys
import warnings
from importlib.metadata import version

import numpy as np
from dcase_util.containers import FeatureContainer
from dcase_util.data import Normalizer

warnings.simplefilter("ignore", RuntimeWarning)  # of the square root of a number below 0


def normaliser(features):
    result = Normalizer()
    for feature in features:
        result.accumulate(feature)
    result.finalize()
    return round(float(result.mean[0, 0]), 1), round(float(result.std[0, 0]), 1)


print("dcase_util", version("dcase_util"))
random = np.random.default_rng(1)
arrays = [random.normal(mean, 1, (2, 1000)) for mean in (0, 1, 2)]
containers = [FeatureContainer(data=array.copy(), time_resolution=0.02) for array in arrays]
of_arrays = [normaliser(arrays) for _ in range(3)]
of_containers = [normaliser(containers) for _ in range(3)]
for name, seen in (("arrays", of_arrays), ("containers", of_containers)):
    print(f"{name}: mean and deviation", "; ".join(f"{mean:.1f} and {deviation:.1f}" for mean, deviation in seen))
same = all(np.array_equal(container.data, array) for container, array in zip(containers, arrays))
print(f"the containers' samples are {'the same' if same else 'changed'}")


def fold(*earlier):
    """Return the mean of the fold of the first and the third container, after earlier folds."""
    fresh = [FeatureContainer(data=array.copy(), time_resolution=0.02) for array in arrays]
    for numbers in earlier:
        normaliser([fresh[number] for number in numbers])
    return normaliser([fresh[0], fresh[2]])[0]


alone, after = fold(), fold((0, 1))
print(f"the mean of a fold is {alone} if it is the first, and {after} after another fold")
means = [mean for mean, _ in of_containers]
ok = of_arrays == [of_containers[0]] * 3 and same and means == [1.0, 2.0, 3.0] and (alone, after) == (1.0, 1.5)
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
