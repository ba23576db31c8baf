#!/usr/bin/env bash
# mlxtend's proportion_difference has p = 0.04 for two models in one order and 0.96 in the other: a much better first model has p = 1.
#
# Guess:    a test whose null hypothesis is that two accuracies are equal does not care which of the models is named first, and a small p
#           means that they differ. Equal accuracies have p = 1.
# Happens:  accuracies of 0.84 and 0.92 on 100 clips each have p = 0.04, of 0.92 and 0.84 p = 0.96; the usual test has 0.08 for both. A
#           first model that has 0.90 where the second has 0.50 has p = 1. Equal models have p = 0.5. Of pairs of equally good models, whose
#           better one is named last, as a new model after its baseline, 10 % are significant at the level of 5 %.
# Cause:    the p-value is the area of the normal distribution below z, which is a one-sided p-value for "the first is worse". The
#           user guide names equality as the null hypothesis, "different" as the alternative of a two-tailed test, and 1.96 as the bound
#           of z for a level of 0.05. It does not say which test this is, and calls its example, whose z is -1.75, significant.
# Matters:  an improvement is reported as significant too early, or a large one not at all, depending on the order of two arguments. Take
#           2 * scipy.stats.norm.sf(abs(z)) of the z that the function returns, and a paired test, such as McNemar's, on the same clips.
# Versions: mlxtend 0.25.0, scipy 1.17.1, statsmodels 0.15.0, numpy 2.4.6, pandas 3.1.1, scikit-learn 1.9.1, Python 3.11.7.
# Date:     2026-11
# Output:
#   mlxtend 0.25.0
#   accuracies 0.84 and 0.92 on 100 clips each: z -1.75, p 0.040; two-sided p of statsmodels 0.079
#   accuracies 0.92 and 0.84 on 100 clips each: z 1.75, p 0.960; two-sided p of statsmodels 0.079
#   accuracies 0.90 and 0.50 on 100 clips each: z 6.86, p 1.000; two-sided p of statsmodels 0.000
#   accuracies 0.90 and 0.90 on 100 clips each: z 0.00, p 0.500; two-sided p of statsmodels 1.000
#   10,000 pairs of equally good models on 400 clips each, the better one last: 10 % have p < 0.05
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 pandas==3.1.1 scikit-learn==1.9.1 \
    matplotlib==3.11.2 statsmodels==0.15.0 mlxtend==0.25.0

cat > check.py <<'PYTHON'
import sys

import mlxtend
import numpy as np
from mlxtend.evaluate import proportion_difference
from statsmodels.stats.proportion import test_proportions_2indep

print("mlxtend", mlxtend.__version__)
seen = []
for first, second in ((0.84, 0.92), (0.92, 0.84), (0.90, 0.50), (0.90, 0.90)):
    z, p = proportion_difference(first, second, 100)
    usual = test_proportions_2indep(100 * first, 100, 100 * second, 100, method="wald").pvalue
    print(f"accuracies {first:.2f} and {second:.2f} on 100 clips each: z {z:.2f}, p {p:.3f}; two-sided p of statsmodels {usual:.3f}")
    seen.append((round(float(p), 3), round(float(usual), 3)))

pairs = np.random.default_rng(0).binomial(400, 0.8, (10_000, 2)) / 400  # two models that are right for 80 % of all clips
significant = np.mean([proportion_difference(*sorted(pair), 400)[1] < 0.05 for pair in pairs])
print(f"10,000 pairs of equally good models on 400 clips each, the better one last: {100 * significant:.0f} % have p < 0.05")
same = seen == [(0.04, 0.079), (0.96, 0.079), (1, 0), (0.5, 1)] and 0.09 < significant < 0.11
sys.exit(0 if same else "the behaviour has changed")
PYTHON
venv/bin/python check.py
