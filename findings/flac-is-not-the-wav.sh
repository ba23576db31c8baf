#!/usr/bin/env bash
# soundfile writes the same float samples to 16-bit WAV and to 16-bit FLAC as different samples.
#
# Guess:    FLAC is lossless, so the files "a.flac" and "a.wav" that soundfile writes from x hold the same samples.
# Happens:  Half of the samples differ by one step. WAV, AIFF and CAF round down (towards minus infinity), which adds a
#           constant of half a step; FLAC rounds to the nearest. A tone of 0.4 steps is digital silence in FLAC, and
#           alternates between -1 and 0 in WAV. What is converted without loss is int16 input, and floats that are
#           whole steps, such as those read from a 16-bit file.
# Cause:    soundfile switches libsndfile's clipping on. libsndfile's pcm.c then scales to 32 bits and keeps the upper
#           16 (an arithmetic shift); its flac.c scales to 16 bits and calls lrint.
# Matters:  A dataset that is resampled or augmented and then saved in both formats is two datasets: checksums of the
#           decoded samples differ, the WAV has an offset of -96 dB, and a very quiet passage is silence in only one of
#           them. Convert to int16 yourself before writing.
# Versions: soundfile 0.14.0 with libsndfile 1.2.2, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   soundfile 0.14.0 1.2.2
#   0.2, 0.6, -0.2 and -0.6 steps in wav: [0, 0, -1, -1]
#   0.2, 0.6, -0.2 and -0.6 steps in aiff: [0, 0, -1, -1]
#   0.2, 0.6, -0.2 and -0.6 steps in caf: [0, 0, -1, -1]
#   0.2, 0.6, -0.2 and -0.6 steps in flac: [0, 1, 0, -1]
#   noise: 50.0% of the samples differ, by [0, 1]
#   mean error in steps: wav -0.500, flac 0.000
#   values in a tone of 0.4 steps: {'wav': [-1, 0], 'flac': [0]}
#   whole steps, int16 and float, in wav and flac unchanged: [True, True, True, True]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 soundfile==0.14.0

cat > check.py <<'PYTHON'
import numpy as np
import soundfile

RATE = 16_000
STEP = 1 / 32_768


def written(samples, ending):
    """Return the 16-bit samples of a file to which the samples were written."""
    soundfile.write(f"clip.{ending}", samples, RATE, subtype="PCM_16")
    return soundfile.read(f"clip.{ending}", dtype="int16")[0].astype(int)


print("soundfile", soundfile.__version__, soundfile.__libsndfile_version__)
hand = np.array([0.2, 0.6, -0.2, -0.6]) * STEP
for ending in ("wav", "aiff", "caf", "flac"):
    print(f"0.2, 0.6, -0.2 and -0.6 steps in {ending}: {written(hand, ending).tolist()}")
    assert written(hand, ending).tolist() == ([0, 1, 0, -1] if ending == "flac" else [0, 0, -1, -1])

noise = np.random.default_rng(0).uniform(-0.9, 0.9, 100_000)
wav, flac = written(noise, "wav"), written(noise, "flac")
print(f"noise: {np.mean(wav != flac):.1%} of the samples differ, by {sorted(set((flac - wav).tolist()))}")
print(f"mean error in steps: wav {np.mean(wav - noise / STEP):.3f}, flac {np.mean(flac - noise / STEP):.3f}")
assert 0.49 < np.mean(wav != flac) < 0.51 and set(flac - wav) == {0, 1}
assert abs(np.mean(wav - noise / STEP) + 0.5) < 0.01 and abs(np.mean(flac - noise / STEP)) < 0.01

tone = 0.4 * STEP * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
quiet = {ending: sorted(set(written(tone, ending).tolist())) for ending in ("wav", "flac")}
print(f"values in a tone of 0.4 steps: {quiet}")
assert quiet == {"wav": [-1, 0], "flac": [0]}

whole = np.arange(-32_768, 32_768)
same = [np.array_equal(written(x, e), whole) for e in ("wav", "flac") for x in (whole.astype("int16"), whole * STEP)]
print(f"whole steps, int16 and float, in wav and flac unchanged: {same}")
assert all(same)
PYTHON
venv/bin/python check.py
