#!/usr/bin/env bash
# Of the audio features of TSFEL, the MFCCs see the first 512 samples of a clip, 12 others are the same for all clips, and 5 are copies.
#
# Guess:    time_series_features_extractor on a clip of one second gives 12 MFCCs and 12 LPCCs of that second, and ten points and two counts
#           of its distribution function (ECDF). Each number says something about the clip.
# Happens:  the MFCCs stay the same if everything behind the first 32 ms (at 16 kHz) is silence. Noise, a sine, a sweep and a train of
#           impulses have the same ten points of the ECDF and the same two counts. Of 12 LPCCs, 5 are copies of others: the values 7 to 11
#           are the values 5 to 1. Nothing is said.
# Cause:    the spectrum for the MFCCs is rfft(signal, 512), which cuts the signal and does not frame it. The ECDF is returned for the ten
#           lowest samples, where it is 1/n to 10/n by definition, and the counts are 20 and 80 percent of n. The LPCCs are an inverse
#           Fourier transform of a real symmetric spectrum, which is symmetric itself.
# Matters:  the MFCCs of TSFEL describe how a clip begins, often silence, and a window of more than 32 ms is not used. 17 of these 36
#           columns are constants or copies. Pass nfft of at least the length of the window, or compute MFCCs per frame elsewhere.
# Versions: tsfel 0.2.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   tsfel 0.2.0
#   36 columns for noise, sine, sweep, impulses; equal for all four: ECDF 10, ECDF Percentile Count 2
#   different values among 12 LPCCs: noise 7, sine 7, sweep 7, impulses 7
#   columns that change if all but the first 512 samples are silenced: LPCC 12, MFCC 0
#   the MFCCs of a sweep, and of its first 512 samples with noise behind them, are equal
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 tsfel==0.2.0

cat > check.py <<'PYTHON'
import sys
from collections import Counter
from importlib.metadata import version

import numpy as np
import tsfel

RATE = 16_000
CHOICE = {"statistical": ("ECDF", "ECDF Percentile Count"), "spectral": ("LPCC", "MFCC")}


def table(clip):
    everything = tsfel.get_features_by_domain()
    chosen = {domain: {name: everything[domain][name] for name in names} for domain, names in CHOICE.items()}
    return tsfel.time_series_features_extractor(chosen, clip, fs=RATE, verbose=0).iloc[0]


def kinds(columns):
    return Counter(column.split("_")[1] for column in columns)


def words(counts):
    return ", ".join(f"{name} {counts[name]}" for name in sorted(counts))


print("tsfel", version("tsfel"))
random, time = np.random.default_rng(0), np.arange(RATE) / RATE
clips = {
    "noise": random.normal(0, 0.1, RATE),
    "sine": np.sin(2 * np.pi * 440 * time),
    "sweep": np.sin(2 * np.pi * (100 * time + 2000 * time**2)),
    "impulses": (np.arange(RATE) % 400 == 0) + random.normal(0, 1e-3, RATE),
}
tables = {name: table(clip) for name, clip in clips.items()}
columns = tables["noise"].index
constant = kinds(column for column in columns if len({row[column] for row in tables.values()}) == 1)
print(f"{len(columns)} columns for {', '.join(clips)}; equal for all four: {words(constant)}")
different = {name: len(set(np.round(row.filter(like="LPCC"), 12))) for name, row in tables.items()}
print("different values among 12 LPCCs:", ", ".join(f"{name} {count}" for name, count in different.items()))
silent = clips["sweep"].copy()
silent[512:] = 0
changed = kinds(column for column in columns if not np.isclose(table(silent)[column], tables["sweep"][column]))
print(f"columns that change if all but the first 512 samples are silenced: LPCC {changed['LPCC']}, MFCC {changed['MFCC']}")
noisy = np.concatenate([clips["sweep"][:512], clips["noise"][512:]])
same = np.allclose(table(noisy).filter(like="MFCC"), tables["sweep"].filter(like="MFCC"))
print("the MFCCs of a sweep, and of its first 512 samples with noise behind them, are", "equal" if same else "different")
ok = constant == {"ECDF": 10, "ECDF Percentile Count": 2} and set(different.values()) == {7} and changed == {"LPCC": 12} and same
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
