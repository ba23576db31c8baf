#!/usr/bin/env bash
# pyroomacoustics' impulse responses start 40 samples late, and its measure of reverberation reads too long.
#
# Guess:    The direct sound of a source at distance d arrives after d / c seconds with the factor 1 / (4 pi d). In a room
#           made by inverse_sabine(0.6, ...), measure_rt60 reads about 0.6 s.
# Happens:  The direct sound arrives 40 samples later than that, at any distance, and its factor is 1 / d. measure_rt60
#           reads 0.73 s for 0.6 s and 1.30 s for 1.0 s; the slope between -5 and -35 dB, as ISO 3382 takes it, gives
#           0.62 s and 1.01 s.
# Cause:    Every arrival is drawn by a filter of 81 samples for its fractional delay, whose middle is the arrival; the
#           response is not moved back. measure_rt60 takes the slope over 60 dB by default, where the response that is cut
#           at its last image source has fallen from a higher place than the reverberation would.
# Matters:  A clip that is convolved with the response and cut to its old length loses its last 40 samples and is moved by
#           as much (5 ms at 8 kHz): frame labels, models in a stream and sample-wise comparisons see it. Drop the first
#           `constants.get("frac_delay_length") // 2` samples, and ask measure_rt60 for decay_db=30.
# Versions: pyroomacoustics 0.10.1, numpy 2.4.6, scipy 1.17.1, Python 3.11.7.
# Date:     2026-11
# Output:
#   pyroomacoustics 0.10.1
#   1.715 m: expected at sample 80, found at 120; times distance 1.00
#   3.430 m: expected at sample 160, found at 200; times distance 1.00
#   half of the delay filter: 40
#   asked 0.6 s: measure_rt60 0.728 s, from -5 to -35 dB 0.621 s
#   asked 1.0 s: measure_rt60 1.300 s, from -5 to -35 dB 1.011 s
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 pyroomacoustics==0.10.1

cat > check.py <<'PYTHON'
import numpy as np
import pyroomacoustics as pra

RATE = 16000


def response(size, source, microphone, **options):
    room = pra.ShoeBox(size, fs=RATE, **options)
    room.add_source(source)
    room.add_microphone(microphone)
    room.compute_rir()
    return room.rir[0][0]


def slope(response):
    """Return the time of a decay by 60 dB from the slope between -5 and -35 dB of the backward integral, in s."""
    energy = np.cumsum((response**2)[::-1])[::-1]
    level = 10 * np.log10(energy / energy[0] + 1e-30)
    first, last = np.flatnonzero(level <= -5)[0], np.flatnonzero(level <= -35)[0]
    return -60 / np.polyfit(np.arange(first, last) / RATE, level[first:last], 1)[0]


print("pyroomacoustics", pra.__version__)
half = pra.constants.get("frac_delay_length") // 2
for distance in (1.715, 3.43):
    found = response([8, 5, 3], [1, 1, 1], [1 + distance, 1, 1], max_order=0)
    expected, peak = round(distance / pra.constants.get("c") * RATE), int(np.argmax(np.abs(found)))
    factor = float(np.abs(found).max() * distance)
    print(f"{distance:.3f} m: expected at sample {expected}, found at {peak}; times distance {factor:.2f}")
    assert peak == expected + half and abs(factor - 1) < 0.01
print("half of the delay filter:", half)
for asked, read, true in ((0.6, 0.728, 0.621), (1.0, 1.300, 1.011)):
    absorption, order = pra.inverse_sabine(asked, [6, 5, 3])
    walls = {"materials": pra.Material(absorption), "max_order": order}
    found = response([6, 5, 3], [1, 1, 1], [4, 3, 1.5], **walls)
    measured, fitted = float(pra.experimental.measure_rt60(found, RATE)), slope(found)
    print(f"asked {asked} s: measure_rt60 {measured:.3f} s, from -5 to -35 dB {fitted:.3f} s")
    assert abs(measured - read) < 0.01 and abs(fitted - true) < 0.01
PYTHON
venv/bin/python check.py
