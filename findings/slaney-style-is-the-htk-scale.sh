#!/usr/bin/env bash
# audioflux's mel spectrogram of the default style SLANEY is on the scale of HTK.
#
# Guess:    style_type=SLANEY gives the mel scale of Slaney's Auditory Toolbox, linear below 1 kHz, as librosa's default does.
# Happens:  the numbers are those of librosa with htk=True and no normalisation, to a few parts in a million. Those of librosa's Slaney
#           scale differ by a factor of 2.7 or more in one number of ten.
# Cause:    in audioflux the style chooses the form of the filters only. Its scale MEL is HTK's, 2595 log10(1 + f / 700), with SLANEY as with ETSI.
# Matters:  weights that were trained on librosa's features meet other bands: with 128 of them up to 16 kHz, band 20 is at 600 Hz there
#           and at 473 Hz here. Both spectrograms have one shape and look alike.
# Versions: audioflux 0.1.9, librosa 0.11.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   audioflux 0.1.9 librosa 0.11.0
#   librosa with Slaney's scale: band 20 at 600 Hz, nine numbers of ten within a factor of 2.702
#   librosa with HTK's scale: band 20 at 473 Hz, nine numbers of ten within a factor of 1.000
#   audioflux, style SLANEY: band 20 at 473 Hz
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 audioflux==0.1.9 librosa==0.11.0

cat > check.py <<'PYTHON'
import sys
from importlib.metadata import version

import audioflux
import librosa
import numpy as np
from audioflux.type import SpectralFilterBankStyleType

RATE, BANDS, POINTS, HOP = 32_000, 128, 4096, 1024
sound = (0.1 * np.random.default_rng(0).standard_normal(RATE)).astype(np.float32)
found, centres = audioflux.mel_spectrogram(
    sound, num=BANDS, radix2_exp=12, samplate=RATE, slide_length=HOP, style_type=SpectralFilterBankStyleType.SLANEY
)

print("audioflux", version("audioflux"), "librosa", version("librosa"))
far = {}
for name, htk in (("Slaney's scale", False), ("HTK's scale", True)):
    other = librosa.feature.melspectrogram(
        y=sound, sr=RATE, n_fft=POINTS, hop_length=HOP, n_mels=BANDS, norm=None, htk=htk, center=False
    )
    ratio = np.maximum(found, other) / np.minimum(found, other)
    band = librosa.mel_frequencies(BANDS + 2, fmax=RATE / 2, htk=htk)[21]
    far[htk] = float(np.quantile(ratio, 0.9))
    print(f"librosa with {name}: band 20 at {band:.0f} Hz, nine numbers of ten within a factor of {far[htk]:.3f}")
print(f"audioflux, style SLANEY: band 20 at {centres[20]:.0f} Hz")
sys.exit(0 if far[True] < 1.001 and far[False] > 1.5 else "the behaviour has changed")
PYTHON
venv/bin/python check.py
