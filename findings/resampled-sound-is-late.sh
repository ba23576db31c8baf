#!/usr/bin/env bash
# sphn.resample returns the sound 11 to 64 ms late and longer than it was.
#
# Guess:    sphn.resample of one second from 48 to 16 kHz returns 16,000 samples, in time with what soxr returns: it takes a
#           whole sound, so its filter's delay can be taken off, and it has the quality of rubato.
# Happens:  It returns 16,074 samples, and the sound in them is 171 samples (10.7 ms) late. A third of a second becomes 5,472
#           samples instead of 5,333, and 100 samples become 342 instead of 33. From 44.1 to 16 kHz, one second becomes
#           16,320 samples, 240 (15 ms) late; from 8 to 16 kHz 16,384 samples, 1,024 (64 ms) late. Its filter is good: a
#           tone of 8.8 kHz, above the new rate's band, is at -145 dB.
# Cause:    The sound goes through a resampler for streams block by block: the last block is filled up with zeros, and
#           the delay stays in.
# Matters:  Frame labels, events in time, clips that are cut afterwards, and a model that expects one length. Cut the
#           delay off (find it with a click, once per pair of rates) and the end behind the length that is expected.
# Versions: sphn 0.2.1, soxr 1.1.0, scipy 1.17.1, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   sphn 0.2.1 soxr 1.1.0
#   48000 to 16000 Hz, 48000 samples: 16074 for 16000, 171 samples late
#   48000 to 16000 Hz, 16000 samples: 5472 for 5333, 171 samples late
#   44100 to 16000 Hz, 44100 samples: 16320 for 16000, 240 samples late
#   44100 to 16000 Hz, 14700 samples: 5760 for 5333, 240 samples late
#   24000 to 16000 Hz, 24000 samples: 16416 for 16000, 342 samples late
#   24000 to 16000 Hz, 8000 samples: 5472 for 5333, 342 samples late
#   8000 to 16000 Hz, 8000 samples: 16384 for 16000, 1024 samples late
#   8000 to 16000 Hz, 2666 samples: 6144 for 5332, 1024 samples late
#   a tone of 8.8 kHz, from 48 to 16 kHz: -145 dB
#   100 samples from 48 to 16 kHz: 342
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 soxr==1.1.0 sphn==0.2.1

cat > check.py <<'PYTHON'
from importlib.metadata import version

import numpy as np
import soxr
import sphn
from scipy.signal import butter, correlate, sosfilt

print("sphn", version("sphn"), "soxr", version("soxr"))
rng = np.random.default_rng(0)
late = {}
for rate in (48000, 44100, 24000, 8000):
    for samples in (rate, rate // 3):
        low = sosfilt(butter(6, 3000, fs=rate, output="sos"), rng.normal(0, 0.1, samples)).astype(np.float32)
        ours, reference = sphn.resample(low[None], rate, 16000)[0], soxr.resample(low, rate, 16000)
        delay = int(np.argmax(correlate(ours, reference))) - (len(reference) - 1)
        late[rate, samples] = (len(ours) - len(reference), delay)
        print(f"{rate} to 16000 Hz, {samples} samples: {len(ours)} for {len(reference)}, {delay} samples late")
tone = np.sin(2 * np.pi * 8800 * np.arange(48000) / 48000).astype(np.float32)[None]
alias = 20 * np.log10(np.sqrt(2 * np.mean(sphn.resample(tone, 48000, 16000)[0, 2000:-2000] ** 2)))
print(f"a tone of 8.8 kHz, from 48 to 16 kHz: {alias:.0f} dB")
print("100 samples from 48 to 16 kHz:", sphn.resample(tone[:, :100], 48000, 16000).shape[1])
assert late[48000, 48000] == (74, 171)
PYTHON
venv/bin/python check.py
