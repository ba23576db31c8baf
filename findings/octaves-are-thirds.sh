#!/usr/bin/env bash
# scikit-maad's octave bands are a third of an octave wide: two thirds of a sound are in no band, and its signal-to-noise ratios are all 0.
#
# Guess:    `linear_to_octave` with thirdOctave=False sums a power spectrum into octave bands, which touch each other, so that the bands
#           hold all of the power. `spectral_snr` returns the ratio of signal to noise of each frequency.
# Happens:  of white noise, the octave bands hold 34 % of the power; the bands of third octaves hold 101 %. A tone of 1 kHz is in an octave
#           band; of tones of 700 Hz, 1.3 kHz or 1.5 kHz less than 0.1 % is in any. The ratio per frequency that `spectral_snr` returns is
#           0 dB at all frequencies, for a loud tone in weak noise, too.
# Cause:    the edges of a band are its centre divided and multiplied by 2^(1/6) for both kinds of bands; for octaves it should be 2^(1/2).
#           The ratio is computed as `ENRf_per_bin - ENRf_per_bin`, a number minus itself.
# Matters:  levels per octave, and the index `tfsd` with mode="Octave", follow where a call lies, not how loud it is: a bird that sings 30 %
#           higher is gone. The documentation speaks of "energy conservation". Sum pairs of edges yourself, or sum third octaves by threes.
# Versions: scikit-maad 1.5.2, numpy 2.4.6, scipy 1.17.1, Python 3.11.7.
# Date:     2026-11
# Output:
#   scikit-maad 1.5.2
#   noise: 34 % of its power is in octave bands, 101 % in third octaves
#   500 Hz: 98.90 % in octave bands, 99.91 % in third octaves
#   700 Hz: 0.00 % in octave bands, 99.97 % in third octaves
#   1000 Hz: 99.98 % in octave bands, 100.00 % in third octaves
#   1300 Hz: 0.00 % in octave bands, 99.99 % in third octaves
#   1500 Hz: 0.00 % in octave bands, 99.90 % in third octaves
#   2000 Hz: 99.99 % in octave bands, 99.99 % in third octaves
#   signal-to-noise ratio of a tone in noise, per frequency: from 0 to 0 dB; of the whole: 53 dB
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 scipy==1.17.1 pandas==2.3.3 matplotlib==3.11.2 scikit-image==0.26.0 scikit-maad==1.5.2

cat > check.py <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from maad import sound

RATE = 44_100
time = np.arange(10 * RATE) / RATE
noise = np.random.default_rng(0).standard_normal(time.size)


def in_bands(wave):
    power, _, frequencies, _ = sound.spectrogram(wave, RATE)
    spectrum = sound.avg_power_spectro(power)
    return [100 * np.sum(sound.linear_to_octave(spectrum, frequencies, thirdOctave=third)[0]) / spectrum.sum() for third in (False, True)]


print("scikit-maad", version("scikit-maad"))
whole = in_bands(noise)
print(f"noise: {whole[0]:.0f} % of its power is in octave bands, {whole[1]:.0f} % in third octaves")
tones = {}
for frequency in (500, 700, 1000, 1300, 1500, 2000):
    tones[frequency] = in_bands(0.5 * np.sin(2 * np.pi * frequency * time))
    print(f"{frequency} Hz: {tones[frequency][0]:.2f} % in octave bands, {tones[frequency][1]:.2f} % in third octaves")
call = 0.5 * np.sin(2 * np.pi * 1000 * time) * (time % 1 < 0.3)
power = sound.spectrogram(call + 0.0005 * noise, RATE)[0]
_, _, ratio, *_, ratios = sound.spectral_snr(power)
low, high = ratios.min(), ratios.max()
print(f"signal-to-noise ratio of a tone in noise, per frequency: from {low:g} to {high:g} dB; of the whole: {ratio:.0f} dB")
holds = whole[0] < 40 < 99 < whole[1] and tones[1000][0] > 99 and max(tones[f][0] for f in (700, 1300, 1500)) < 0.1
sys.exit(0 if holds and not ratios.any() and ratio > 30 else "the behaviour has changed")
PYTHON
venv/bin/python check.py
