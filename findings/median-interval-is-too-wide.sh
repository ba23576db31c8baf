#!/usr/bin/env bash
# autorank's 95 % interval of a median is one of 99.5 %, and lies too high: the interval of the errors is not that of the accuracies.
#
# Guess:    the interval that autorank reports for the median of scores that are not normal has about its level, and turning the sign of
#           all scores turns the interval round.
# Happens:  the interval goes from place 12 to place 31 of 40 sorted scores, where 14 to 27 have 96 %. With the sign turned it goes from
#           10 to 29. Of 20 scores it goes from 5 to 18, and from 3 to 16 with the sign turned.
# Cause:    the places are n/2 minus and plus z * sqrt(n/2), where the binomial distribution has z * sqrt(n)/2: 1.4 times too wide. They
#           are meant to be counted from 1 and are used as positions that count from 0, which moves both up by one.
# Matters:  the table and the LaTeX table of autorank have these intervals next to the medians; two models whose intervals overlap may well
#           differ. With normal scores the interval is that of the mean, and right. Take the places from scipy.stats.binom, as below.
# Versions: autorank 1.3.0, scipy 1.17.1, pandas 3.1.1, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   autorank 1.3.0
#   20 scores: places 5 to 18, level 99.4%; with the sign turned 3 to 16; for 95 %: 6 to 15, level 95.9%
#   40 scores: places 12 to 31, level 99.6%; with the sign turned 10 to 29; for 95 %: 14 to 27, level 96.2%
#   100 scores: places 37 to 66, level 99.6%; with the sign turned 35 to 64; for 95 %: 40 to 61, level 96.5%
#   1000 scores: places 457 to 546, level 99.5%; with the sign turned 455 to 544; for 95 %: 469 to 532, level 95.4%
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 pandas==3.1.1 autorank==1.3.0

cat > check.py <<'PYTHON'
import contextlib
import io
import sys
import warnings
from importlib.metadata import version

import numpy as np
import pandas as pd
from autorank import autorank
from scipy.stats import binom

warnings.simplefilter("ignore")


def places(count, sign):
    """The two scores, counted from 1 in the order of their size, that bound the interval of the median."""
    scores = np.linspace(0, 10, count) ** 8  # far from normal
    table = pd.DataFrame({"first": sign * scores, "second": sign * scores[::-1]})
    with contextlib.redirect_stdout(io.StringIO()):
        result = autorank(table, alpha=0.1)  # autorank divides alpha by the number of populations: 95 % each
    assert result.omnibus == "wilcoxon"
    row = result.rankdf.loc["first"]
    return tuple(sorted(1 + int(np.flatnonzero(sign * scores == row[name])[0]) for name in ("ci_lower", "ci_upper")))


def covered(count, low, high):  # the probability that the median lies between two sorted scores, whatever their distribution
    return binom.cdf(high - 1, count, 0.5) - binom.cdf(low - 1, count, 0.5)


print("autorank", version("autorank"))
ok = True
for count in (20, 40, 100, 1000):
    found, turned = places(count, 1), places(count, -1)
    low = int(binom.ppf(0.025, count, 0.5))
    wanted = low, count + 1 - low
    print(f"{count} scores: places {found[0]} to {found[1]}, level {covered(count, *found):.1%};",
          f"with the sign turned {turned[0]} to {turned[1]}; for 95 %: {wanted[0]} to {wanted[1]}, level {covered(count, *wanted):.1%}")
    ok &= 0.99 < covered(count, *found) and 0.95 <= covered(count, *wanted) < 0.97 and found != turned
    ok &= 1.3 < (found[1] - found[0]) / (1.96 * count**0.5) < 1.55
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
