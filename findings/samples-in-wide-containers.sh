#!/usr/bin/env bash
# libsndfile reads WAV samples that lie in wider containers as noise, but for one kind.
#
# Guess:    The block align of a WAV says how many bytes a sample takes: 20 bits in 4 bytes, or 16 bits in 4 bytes, are read
#           from such containers, left-justified, as the format's description has it; or the file is refused.
# Happens:  24 bits in 4 bytes of plain PCM are right. 20 and 16 bits in 4 bytes, and 24 bits in 4 bytes in the extensible
#           form, give noise: 10,666 or 16,000 samples for 8,000, which do not correlate with the sine that was written. No
#           error is raised.
# Cause:    The samples are read with the width of their bits, packed. Plain 24 bits in 4 bytes is a case of its own.
# Matters:  Recorders and laboratory programs write such files. Training on them looks normal: the clips have a length and a
#           level. The extensible form with 32 bits, of which 24 are valid, is read well.
# Versions: soundfile 0.14.0 (libsndfile 1.2.2), numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   soundfile 0.14.0 1.2.2
#   plain, 24 bits, in 4 bytes: 8000 of 8000 samples, correlation 1.00
#   plain, 20 bits, in 4 bytes: 10666 of 8000 samples, correlation -0.01
#   plain, 16 bits, in 4 bytes: 16000 of 8000 samples, correlation -0.00
#   extensible, 24 bits, in 4 bytes: 10666 of 8000 samples, correlation -0.00
#   extensible, 32 bits of which 24 are valid, in 4 bytes: 8000 of 8000 samples, correlation 1.00
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 soundfile==0.14.0

cat > check.py <<'PYTHON'
import io
import struct

import numpy as np
import soundfile

SINE = 0.5 * np.sin(0.05 * np.arange(8_000))
PLAIN, EXTENSIBLE = 1, 0xFFFE


def wav(kind, bits, valid):
    """Return a mono WAV of `bits` that states a block align of 4 bytes, its samples left-justified in them."""
    samples = np.round(SINE * (1 << (valid - 1))).astype("<i4") << (32 - valid)
    form = struct.pack("<HHIIHH", kind, 1, 8_000, 32_000, 4, bits)
    if kind == EXTENSIBLE:
        form += struct.pack("<HHI", 22, valid, 0) + bytes.fromhex("0100000000001000800000aa00389b71")
    data = samples.tobytes()
    content = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(content)) + content


print("soundfile", soundfile.__version__, soundfile.__libsndfile_version__)
found = {}
for name, kind, bits, valid in (
    ("plain, 24 bits", PLAIN, 24, 24),
    ("plain, 20 bits", PLAIN, 20, 20),
    ("plain, 16 bits", PLAIN, 16, 16),
    ("extensible, 24 bits", EXTENSIBLE, 24, 24),
    ("extensible, 32 bits of which 24 are valid", EXTENSIBLE, 32, 24),
):
    samples, _ = soundfile.read(io.BytesIO(wav(kind, bits, valid)))
    alike = np.corrcoef(samples[:8_000], SINE)[0, 1]
    found[name] = len(samples) == 8_000 and alike > 0.999
    print(f"{name}, in 4 bytes: {len(samples)} of 8000 samples, correlation {alike:.2f}")
assert list(found.values()) == [True, False, False, False, True]
PYTHON
venv/bin/python check.py
