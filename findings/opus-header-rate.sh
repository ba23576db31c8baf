#!/usr/bin/env bash
# soundfile decodes an Opus file at the rate in its header, although that rate says nothing about the sound in the file.
#
# Guess:    Opus always holds up to 20 kHz, and "input sample rate" is a remark (RFC 7845, 5.1: "not the sample rate to
#           use for playback"; 0 means unspecified). So two files that differ in this field sound alike.
# Happens:  The rate is rounded up to one of 8, 12, 16, 24 and 48 kHz, and the sound is decoded at that rate. The same
#           packets, with a tone of 1 kHz and one of 10 kHz, lose the upper one where the field says 8000, 11025 or
#           16000, and also where it says 0. The file is then one of 8 kHz without a word. PyAV decodes all at 48 kHz.
# Cause:    libsndfile's ogg_opus.c takes the smallest rate of Opus that is not below the field; 0 is below all of them.
# Matters:  Encoders leave the field 0, or write the rate of the microphone and not of what they were given. Everything
#           above 4 kHz of such clips is gone before the front-end, and a mel filterbank up to 8 or 16 kHz has empty
#           bands for some clips of a dataset: a class can be told by its encoder. Look at the rates that
#           soundfile.info() gives for .opus files; 8000 in a set of 48000 is suspicious.
# Versions: soundfile 0.14.0 with libsndfile 1.2.2, PyAV 18.1.0 with FFmpeg 8.1, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   soundfile 0.14.0 1.2.2 PyAV 18.1.0
#   field 48000: soundfile 48000 Hz, 48000 samples, 10 kHz tone 0.20; PyAV 48000 Hz
#   field 44100: soundfile 48000 Hz, 48000 samples, 10 kHz tone 0.20; PyAV 48000 Hz
#   field 22050: soundfile 24000 Hz, 24000 samples, 10 kHz tone 0.20; PyAV 48000 Hz
#   field 16000: soundfile 16000 Hz, 16000 samples, 10 kHz tone 0.00; PyAV 48000 Hz
#   field 11025: soundfile 12000 Hz, 12000 samples, 10 kHz tone 0.00; PyAV 48000 Hz
#   field 8000: soundfile 8000 Hz, 8000 samples, 10 kHz tone 0.00; PyAV 48000 Hz
#   field 0: soundfile 8000 Hz, 8000 samples, 10 kHz tone 0.00; PyAV 48000 Hz
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 soundfile==0.14.0 av==18.1.0

cat > check.py <<'PYTHON'
import io

import av
import numpy as np
import soundfile


def crc(page):
    """Return the checksum of an Ogg page whose checksum field is zero."""
    value = 0
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7 if value & 1 << 31 else value << 1) & 0xFFFFFFFF
    return value


def with_rate(content, rate):
    """Return an Opus file with another input sample rate: bytes 40 to 43 of its first page, which has 47."""
    page = content[:22] + bytes(4) + content[26:40] + rate.to_bytes(4, "little") + content[44:47]
    return page[:22] + crc(page).to_bytes(4, "little") + page[26:] + content[47:]


def tone(samples, rate, hertz):
    """Return the amplitude of a tone."""
    wave = np.exp(-2j * np.pi * hertz * np.arange(len(samples)) / rate)
    return 2 * abs(np.mean(samples * wave)) if hertz < rate / 2 else 0.0


print("soundfile", soundfile.__version__, soundfile.__libsndfile_version__, "PyAV", av.__version__)
time = np.arange(48_000) / 48_000
file = io.BytesIO()
sound = 0.2 * np.sin(2 * np.pi * 1_000 * time) + 0.2 * np.sin(2 * np.pi * 10_000 * time)
soundfile.write(file, sound, 48_000, format="OGG", subtype="OPUS")
content = file.getvalue()
assert content[28:36] == b"OpusHead" and with_rate(content, 48_000) == content
for field, wanted in ((48_000, 48_000), (44_100, 48_000), (22_050, 24_000), (16_000, 16_000), (11_025, 12_000),
                      (8_000, 8_000), (0, 8_000)):
    changed = with_rate(content, field)
    samples, rate = soundfile.read(io.BytesIO(changed))
    upper = tone(samples, rate, 10_000)
    with av.open(io.BytesIO(changed)) as container:
        other = container.streams.audio[0].rate
        count = sum(frame.samples for frame in container.decode(audio=0))
    print(f"field {field}: soundfile {rate} Hz, {len(samples)} samples, 10 kHz tone {upper:.2f}; PyAV {other} Hz")
    assert (rate, len(samples), other, count) == (wanted, wanted, 48_000, 48_000)
    assert tone(samples, rate, 1_000) > 0.19
    assert upper > 0.19 if rate >= 24_000 else upper == 0
PYTHON
venv/bin/python check.py
