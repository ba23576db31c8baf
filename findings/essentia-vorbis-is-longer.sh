#!/usr/bin/env bash
# Essentia reads an Ogg Vorbis file with sound behind its end.
#
# Guess:    A decoder returns the samples that the file states: the last page's position says where the sound ends,
#           because a Vorbis block is seldom full.
# Happens:  The last block comes back whole. One second at 16 kHz has 16,128 samples, one at 44.1 kHz 44,160, and what
#           follows the end is not silence. The samples before are those of libsndfile; FLAC and MP3 have the right length.
# Cause:    Essentia's AudioLoader asks FFmpeg's library for frames and does not cut the last one to its stated duration.
# Matters:  Clips of one dataset get different lengths: of 60 clips of 5 s of ESC-10 as Ogg Vorbis, 26 were 44 samples
#           longer. Cut the sound to the length that soundfile.info() gives.
# Versions: essentia 2.1b6.dev1389, soundfile 0.14.0 with libsndfile 1.2.2, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   essentia 2.1-beta6-dev, soundfile 0.14.0
#   ogg, 16000 samples at 16000 Hz: soundfile 16000, essentia 16128, loudest behind the end 0.03
#   ogg, 44100 samples at 44100 Hz: soundfile 44100, essentia 44160, loudest behind the end 0.03
#   flac, 44100 samples at 44100 Hz: soundfile 44100, essentia 44100
#   mp3, 44100 samples at 44100 Hz: soundfile 44100, essentia 44100
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check \
    essentia==2.1b6.dev1389 soundfile==0.14.0 numpy==2.4.6

cat > check.py <<'PYTHON'
import essentia
import numpy as np
import soundfile
from essentia.standard import AudioLoader

essentia.log.infoActive = False
print(f"essentia {essentia.__version__}, soundfile {soundfile.__version__}")
for ending, rate, wanted in (("ogg", 16_000, 16_128), ("ogg", 44_100, 44_160), ("flac", 44_100, 44_100),
                             ("mp3", 44_100, 44_100)):
    noise = np.random.default_rng(0).standard_normal(rate).astype("float32") * 0.1
    soundfile.write(f"sound.{ending}", noise, rate)
    other, _ = soundfile.read(f"sound.{ending}", dtype="float32")
    found = AudioLoader(filename=f"sound.{ending}")()[0][:, 0]
    behind = found[len(other) :]
    words = f", loudest behind the end {np.abs(behind).max():.2f}" if len(behind) else ""
    print(f"{ending}, {rate} samples at {rate} Hz: soundfile {len(other)}, essentia {len(found)}{words}")
    assert (len(other), len(found)) == (rate, wanted)
    assert np.abs(found[: len(other)] - other).max() < 1e-4
    assert not len(behind) or np.abs(behind).max() > 0.01
PYTHON
venv/bin/python check.py
