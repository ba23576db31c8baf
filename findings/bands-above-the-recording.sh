#!/usr/bin/env bash
# scikit-maad's acoustic indices find sound above the range of a recording: the topmost bin stands for all bands that it has not.
#
# Guess:    a recording at 16 kHz has nothing between 10 and 20 kHz, so its cover there is 0, or refused; and the same sound, which ends
#           below 8 kHz, has the same acoustic diversity at 16 kHz as at 48 kHz.
# Happens:  noise below 8 kHz covers 0 % of the band from 10 to 20 kHz at 48 kHz, and 90 % of it at 16 kHz. Its acoustic diversity (ADI)
#           is 2.10 (ln 8 is 2.08) at 48 kHz, and 3.00 = ln 20 at 16 kHz, as if it reached to 20 kHz; its eveness (AEI) falls from 0.60
#           to 0.00. The only warning is numpy's, at 48 kHz, where the band is empty as it should be.
# Cause:    `index_bw` replaces each limit of a band by the nearest frequency of the spectrogram. Above half of the rate both limits become
#           the last bin, so each missing band consists of that bin. The defaults go up to 20 kHz.
# Matters:  recorders with different rates, or files that were resampled for a model, are not comparable in these indices, and the one bin
#           that is weighted most is the last one before the anti-alias filter. Pass limits up to half of the lowest rate (fmax,
#           flim_HF).
# Versions: scikit-maad 1.5.2, numpy 2.4.6, scipy 1.17.1, Python 3.11.7.
# Date:     2026-11
# Output:
#   scikit-maad 1.5.2
#   at 48000 Hz: cover of 10 to 20 kHz 0 %, ADI 2.10, AEI 0.60; with fmax=7000: ADI 1.95
#   at 16000 Hz: cover of 10 to 20 kHz 90 %, ADI 3.00, AEI 0.00; with fmax=7000: ADI 1.95
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 scipy==1.17.1 pandas==2.3.3 matplotlib==3.11.2 scikit-image==0.26.0 scikit-maad==1.5.2

cat > check.py <<'PYTHON'
import sys
import warnings
from importlib.metadata import version

import numpy as np
from maad import features, sound, util
from scipy.signal import resample

noise = 0.1 * np.random.default_rng(0).standard_normal(20 * 16_000)
warnings.simplefilter("ignore")  # numpy's, for the empty band at 48 kHz
print("scikit-maad", version("scikit-maad"))
seen = []
for rate, wave in ((48_000, resample(noise, 3 * noise.size)), (16_000, noise)):
    power, _, frequencies, _ = sound.spectrogram(wave, rate, nperseg=1024 * rate // 16_000)  # bins of 15.6 Hz at both rates
    decibels, amplitude = util.power2dB(power) + 60, np.sqrt(power)  # the noise lies at 13 dB, the threshold at 3 dB
    high = 100 * features.spectral_cover(decibels, frequencies)[2]
    diversity = features.acoustic_diversity_index(amplitude, frequencies)
    eveness = abs(features.acoustic_eveness_index(amplitude, frequencies))
    limited = features.acoustic_diversity_index(amplitude, frequencies, fmax=7000)
    print(f"at {rate} Hz: cover of 10 to 20 kHz {high:.0f} %, ADI {diversity:.2f}, AEI {eveness:.2f}; with fmax=7000: ADI {limited:.2f}")
    seen.append((high, diversity, eveness, limited))
(cover, wide, uneven, low), (false_cover, false_wide, even, same) = seen
holds = cover < 1 and false_cover > 80 and wide < 2.2 and false_wide > 2.95 and uneven > 0.5 and even < 0.01 and abs(low - same) < 0.01
sys.exit(0 if holds else "the behaviour has changed")
PYTHON
venv/bin/python check.py
