#!/usr/bin/env bash
# PyAV: a container that is rewound by seek(0) and decoded again gives another sound than the first time.
#
# Guess:    Keeping containers open and calling seek(0) before each epoch saves opening them and gives the same samples.
# Happens:  Opus in WebM and Ogg comes back with the 312 samples of its pre-skip in front, so that all of it is 6.5 ms
#           late, and MP3 in Matroska with 1,105. AAC in M4A has as many samples as before, but not the same ones: bands
#           that the encoder replaced by "noise here" are drawn anew; without this substitution both passes agree. A new
#           container gives the first samples again, bit for bit. Opus in MP4, FLAC and ALAC are right in both passes.
# Cause:    The samples to skip are handed to the decoder when the file is opened, and the first pass uses them up. The
#           perceptual noise substitution of AAC draws from a generator in the decoder, which a seek does not reset.
# Matters:  Labels in time are shifted from the second epoch on; a cache that was filled in the first epoch differs from
#           the file; a digest of decoded samples is not the same twice in a process. Open the file anew.
# Versions: PyAV 18.1.0 with FFmpeg 8.1, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   PyAV 18.1.0
#   webm libopus: 96000 samples, then 96312, the same 312 later: True, a new container the same: True
#   ogg libopus: 96000 samples, then 96312, the same 312 later: True, a new container the same: True
#   matroska libmp3lame: 96000 samples, then 97105, the same 1105 later: True, a new container the same: True
#   ipod aac: 96256 samples, then 96256, the same: False, a new container the same: True
#   ipod aac -pns: 96256 samples, then 96256, the same: True, a new container the same: True
#   mp4 libopus: 96648 samples, then 96648, the same: True, a new container the same: True
#   matroska flac: 96000 samples, then 96000, the same: True, a new container the same: True
#   ipod alac: 96000 samples, then 96000, the same: True, a new container the same: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 av==18.1.0

cat > check.py <<'PYTHON'
import io
from fractions import Fraction

import av
import numpy as np

RATE = 48_000


def written(container, codec, sound):
    """Return a mono file of these samples; "aac -pns" is AAC without noise substitution."""
    codec, plain = codec.split()[0], " " in codec
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=RATE, layout="mono")
        stream.codec_context.options = {"aac_pns": "0"} if plain else {}
        stream.codec_context.open()
        frame = av.AudioFrame.from_ndarray(sound[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        waiting = av.AudioFifo()
        resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=RATE)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            waiting.write(part)
        while waiting.samples:
            out.mux(stream.encode(waiting.read(stream.codec_context.frame_size or 1024, partial=True)))
        out.mux(stream.encode(None))
    return file.getvalue()


def samples(container):
    """Return all samples from where the container is."""
    return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)]).astype(float)


print("PyAV", av.__version__)
noise = np.random.default_rng(0).standard_normal(2 * RATE + 20)
sound = 0.1 * np.convolve(noise, np.ones(21) / 5, "valid")
for container, codec, late, same in (
    ("webm", "libopus", 312, True), ("ogg", "libopus", 312, True), ("matroska", "libmp3lame", 1105, True),
    ("ipod", "aac", 0, False),
    ("ipod", "aac -pns", 0, True), ("mp4", "libopus", 0, True), ("matroska", "flac", 0, True),
    ("ipod", "alac", 0, True),
):
    content = written(container, codec, sound)
    with av.open(io.BytesIO(content)) as opened:
        first = samples(opened)
        opened.seek(0)
        second = samples(opened)
    with av.open(io.BytesIO(content)) as opened:
        again = np.array_equal(samples(opened), first)
    skip = RATE // 2  # a decoder needs some frames to settle
    found = np.allclose(second[skip + late : skip + late + RATE], first[skip : skip + RATE], atol=1e-3)
    words = f"the same {late} later" if late else "the same"
    print(
        f"{container} {codec}: {len(first)} samples, then {len(second)}, {words}: {found}, "
        f"a new container the same: {again}"
    )
    assert len(second) - len(first) == late and found == same and again
PYTHON
venv/bin/python check.py
