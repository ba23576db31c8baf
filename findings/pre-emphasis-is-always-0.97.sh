#!/usr/bin/env bash
# Five of spafe's features have a pre-emphasis of 0.97 whatever is asked for; a lifter of 22 does nothing, and "mvn" leaves small variances.
#
# Guess:    pre_emph_coeff=0.5 changes each feature that has this argument. lifter=22, the value of HTK and Kaldi, weighs the coefficients.
#           normalize="mvn", "Mean Variance Normalisation", gives each coefficient mean 0 and deviation 1.
# Happens:  bfcc, gfcc, lfcc, lpc and lpcc return the same numbers for 0.5 and 0.97; mfcc, ngcc and cqcc do not. The MFCCs with lifter=22
#           are those without a lifter, bit for bit; -22 gives the sine lifter. After "mvn" the MFCCs of noise have deviations of 0.07 to
#           0.09, and those of the same noise at -40 dB 0.03. Nothing is said.
# Cause:    these five call pre_emphasis(sig, 0.97) with the number in place of the argument. A lifter above 10 returns its input; the
#           documentation only asks for "values smaller than 10 for meaningful results". "mvn" subtracts the mean of each coefficient, but
#           divides by the deviation of the whole matrix before that, which is mostly the offset of the first coefficient.
# Matters:  a search over these options compares equal features, and its differences are noise. Features that are said to be normalised
#           depend on the loudness of the clip. Filter the sound yourself with pre_emph=False, use lifter=-22, and normalise the result.
# Versions: spafe 0.3.3, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   spafe 0.3.3
#   pre_emph_coeff=0.5 changes: mfcc, ngcc, cqcc; does not change: bfcc, gfcc, lfcc, lpc, lpcc
#   MFCCs with lifter=22 are those without: True; with lifter=-22: False; with lifter=3: False
#   deviations of the 13 MFCCs after "mvn": 0.07 to 0.09; of a clip that is 40 dB softer: 0.03 to 0.03
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 spafe==0.3.3

cat > check.py <<'PYTHON'
import sys
from importlib import import_module
from importlib.metadata import version

import numpy as np
from spafe.features.mfcc import mfcc

RATE = 16_000
SOUND = np.random.default_rng(0).normal(0, 0.1, RATE)


def compute(name, **options):
    module = {"lpcc": "lpc"}.get(name, name)
    result = getattr(import_module(f"spafe.features.{module}"), name)(SOUND, RATE, **options)
    return result[0] if isinstance(result, tuple) else result


def deviations(sound):
    return mfcc(sound, RATE, normalize="mvn").std(axis=0)


print("spafe", version("spafe"))
changes, stays = [], []
for name in ("mfcc", "ngcc", "cqcc", "bfcc", "gfcc", "lfcc", "lpc", "lpcc"):
    same = np.array_equal(compute(name), compute(name, pre_emph_coeff=0.5))
    (stays if same else changes).append(name)
print(f"pre_emph_coeff=0.5 changes: {', '.join(changes)}; does not change: {', '.join(stays)}")
lifters = {lifter: np.array_equal(compute("mfcc", lifter=lifter), compute("mfcc")) for lifter in (22, -22, 3)}
print(f"MFCCs with lifter=22 are those without: {lifters[22]}; with lifter=-22: {lifters[-22]}; with lifter=3: {lifters[3]}")
loud, soft = deviations(SOUND), deviations(SOUND / 100)
spans = [f"{values.min():.2f} to {values.max():.2f}" for values in (loud, soft)]
print(f'deviations of the 13 MFCCs after "mvn": {spans[0]}; of a clip that is 40 dB softer: {spans[1]}')
ok = stays == ["bfcc", "gfcc", "lfcc", "lpc", "lpcc"] and lifters == {22: True, -22: False, 3: False} and loud.max() < 0.2
sys.exit(0 if ok and soft.max() < loud.min() else "the behaviour has changed")
PYTHON
venv/bin/python check.py
