#!/usr/bin/env bash
# samplerate's Resampler drops the end of a stream, up to 18 ms of it: end_of_input=True does not bring out what is still inside.
#
# Guess:    blocks that go through one Resampler, the last of them with end_of_input=True, give together what resample() gives of the whole
#           sound, as the documentation of that argument has it: "no more data is available".
# Happens:  all samples are the same, but the end is missing. "sinc_best" loses 18 ms of a second where the rate is halved and 9 ms where it
#           is tripled. A short sound in the last 10 ms is gone. One more call without samples returns nothing. The other sinc converters
#           lose less, and "linear" loses nothing.
# Cause:    process() makes room for as many samples as the block has, times the ratio. The first block comes out short, because the filter
#           waits for what follows. At the end the same number of samples is left over, for which the last block has no room.
# Matters:  a clip that is resampled in blocks is shorter than one that is resampled at once, and sounds at the ends of clips and files are
#           cut. A block of silence behind the last one, and a cut at the right length, give the numbers of resample().
# Versions: samplerate 0.2.4, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   samplerate 0.2.4
#   sinc_best, one second times 0.5: 8000 samples at once, 7857 in blocks, 17.9 ms less, peak 1.01 and 0.00, same until then: True
#   sinc_best, one second times 3: 48000 samples at once, 47568 in blocks, 9.0 ms less, peak 1.00 and 1.00, same until then: True
#   sinc_medium, one second times 0.5: 8000 samples at once, 7954 in blocks, 5.8 ms less, peak 1.01 and 1.01, same until then: True
#   sinc_medium, one second times 3: 48000 samples at once, 47859 in blocks, 2.9 ms less, peak 1.01 and 1.01, same until then: True
#   sinc_fastest, one second times 0.5: 8000 samples at once, 7981 in blocks, 2.4 ms less, peak 1.02 and 1.02, same until then: True
#   sinc_fastest, one second times 3: 48000 samples at once, 47940 in blocks, 1.2 ms less, peak 1.01 and 1.01, same until then: True
#   linear, one second times 0.5: 8000 samples at once, 8000 in blocks, 0.0 ms less, peak 0.92 and 0.92, same until then: True
#   linear, one second times 3: 48000 samples at once, 48000 in blocks, 0.0 ms less, peak 1.00 and 1.00, same until then: True
#   sinc_best, one second times 0.5, a block of silence behind the last: equal to all at once: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 samplerate==0.2.4

cat > check.py <<'PYTHON'
from importlib.metadata import version

import numpy as np
import samplerate

RATE, BLOCK = 16_000, 1600
SOUND = np.zeros(RATE, np.float32)
SOUND[-160:] = np.sin(2 * np.pi * 1000 * np.arange(160) / RATE)  # ten milliseconds of sound at the very end


def stream(sound, ratio, converter, block=BLOCK):
    resampler = samplerate.Resampler(converter)
    last = len(sound) - block
    blocks = [resampler.process(sound[i : i + block], ratio, end_of_input=i >= last) for i in range(0, len(sound), block)]
    blocks.append(resampler.process(sound[:0], ratio, end_of_input=True))
    return np.concatenate(blocks)


print("samplerate", version("samplerate"))
lost = {}
for converter in ("sinc_best", "sinc_medium", "sinc_fastest", "linear"):
    for ratio in (0.5, 3):
        whole, parts = samplerate.resample(SOUND, ratio, converter), stream(SOUND, ratio, converter)
        lost[converter, ratio] = (len(whole) - len(parts)) / ratio / RATE * 1000
        same = np.array_equal(parts, whole[: len(parts)])
        print(f"{converter}, one second times {ratio}: {len(whole)} samples at once, {len(parts)} in blocks,", end=" ")
        print(f"{lost[converter, ratio]:.1f} ms less, peak {abs(whole).max():.2f} and {abs(parts).max():.2f}, same until then: {same}")
longer = stream(np.append(SOUND, np.zeros(BLOCK, np.float32)), 0.5, "sinc_best")[: RATE // 2]
equal = np.allclose(longer, samplerate.resample(SOUND, 0.5, "sinc_best"), atol=1e-6)
print("sinc_best, one second times 0.5, a block of silence behind the last: equal to all at once:", equal)
assert lost["sinc_best", 0.5] > 15
assert lost["sinc_best", 3] > 8
assert lost["linear", 0.5] == 0
assert equal
PYTHON
venv/bin/python check.py
