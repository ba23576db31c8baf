#!/usr/bin/env bash
# spectrofast, "a drop-in replacement for scipy.signal.spectrogram", returns powers that are 48 dB lower with 256 points, 54 dB with 512.
#
# Guess:    spectrofast.spectrogram() returns SciPy's numbers for the same call, up to rounding: its documentation says that signature and
#           default values match SciPy's, and gives SciPy's scale factor for the power density, in V**2/Hz.
# Happens:  each power is SciPy's divided by the square of the number of points of the FFT: by 65,536 with 256. The density of noise with a
#           variance of 1 adds up to 0.000015. Zero-padding to twice the points lowers all powers by 6 dB. Magnitudes go the other way:
#           they are 7 times SciPy's. And the import prints a line to standard output, which goes into a program's rows, without numba.
# Cause:    the spectrum is divided by `nfft` for all modes at first, and the factor for a spectrum that was not divided is then applied on
#           top of it. The mode "magnitude" gets no factor for the window or the rate, which SciPy's has.
# Matters:  logarithms of powers with a floor, such as the usual 1e-10, lose all that is soft: with 512 points, noise at -40 dB is below
#           it. A model that was trained on SciPy's features hears near silence, and features with other numbers of points have other levels.
# Versions: spectrofast 0.3.3, scipy 1.17.1, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   spectrofast 0.3.3
#   printed to standard output by the import: spectrofast: numba not found.
#   mode psd, scaling density, 256 points: 1.53e-05 times SciPy's values, -48.2 dB; its sum: 0.990 in SciPy, 1.5e-05 here
#   mode psd, scaling density, 512 points: 3.81e-06 times SciPy's values, -54.2 dB; its sum: 0.994 in SciPy, 3.8e-06 here
#   mode psd, scaling density, 1024 points: 9.54e-07 times SciPy's values, -60.2 dB; its sum: 0.994 in SciPy, 9.5e-07 here
#   mode psd, scaling spectrum, 256 points: 1.53e-05 times SciPy's values, -48.2 dB
#   mode magnitude, scaling density, 256 points: 7.26 times SciPy's values, +17.2 dB
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 spectrofast==0.3.3

cat > check.py <<'PYTHON'
import contextlib
import io
import math
from importlib.metadata import version

import numpy as np
import scipy.signal

printed = io.StringIO()
with contextlib.redirect_stdout(printed):
    import spectrofast

RATE = 16_000
NOISE = np.random.default_rng(0).standard_normal(RATE)  # its variance is 1

print("spectrofast", version("spectrofast"))
print("printed to standard output by the import:", " ".join(printed.getvalue().split()[:4]))
ratios = {}
for points, settings in (
    (256, {"nperseg": 256}),
    (512, {"nperseg": 512}),
    (1024, {"nperseg": 512, "nfft": 1024}),
    (256, {"nperseg": 256, "scaling": "spectrum"}),
    (256, {"nperseg": 256, "mode": "magnitude"}),
):
    bins, _, theirs = scipy.signal.spectrogram(NOISE, RATE, **settings)
    _, _, ours = spectrofast.spectrogram(NOISE, RATE, use_wisdom=False, **settings)
    ratio = ours / theirs
    assert np.allclose(ratio, ratio[0, 0])  # one factor for all bins and frames
    kind = (settings.get("mode", "psd"), settings.get("scaling", "density"), points)
    ratios[kind] = ratio[0, 0]
    decibels = (20 if kind[0] == "magnitude" else 10) * math.log10(ratio[0, 0])
    print(f"mode {kind[0]}, scaling {kind[1]}, {points} points: {ratio[0, 0]:.3g} times SciPy's values, {decibels:+.1f} dB", end="")
    if kind[:2] == ("psd", "density"):
        variances = [each.mean(1).sum() * (bins[1] - bins[0]) for each in (theirs, ours)]
        print(f"; its sum: {variances[0]:.3f} in SciPy, {variances[1]:.2g} here", end="")
    print()
assert math.isclose(ratios["psd", "density", 256], 256**-2)
assert math.isclose(ratios["psd", "density", 512], 512**-2)
assert math.isclose(ratios["psd", "density", 1024], 1024**-2)
assert math.isclose(ratios["psd", "spectrum", 256], 256**-2)
assert ratios["magnitude", "density", 256] > 7
PYTHON
venv/bin/python check.py
