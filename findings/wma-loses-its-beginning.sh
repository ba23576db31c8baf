#!/usr/bin/env bash
# PyAV (FFmpeg) returns a WMA file that FFmpeg wrote without its first 2,048 samples.
#
# Guess:    A lossy codec delays the sound, and a library that writes and reads it knows by how much: a WMA file comes
#           back whole and in time, as M4A, Opus and MP3 do.
# Happens:  The first 2,048 samples (46 ms at 44.1 kHz, 1,024 samples or 46 ms at 22.05 kHz) are missing and all others
#           are early by as many. A click at 20 ms is gone. The first time stamp is 92 ms and tells nothing of it.
# Cause:    FFmpeg's encoder delays the sound by one frame of 2,048 samples, and its decoder drops two: 22 packets and
#           the one that the end flushes come back as 21 frames.
# Matters:  Onsets at the beginning of a clip tell drums, guns and keystrokes apart; events in time are shifted against
#           their labels. Do not convert a collection to WMA and back, and compare one file with its source before you
#           trust the times in WMA files of others.
# Versions: PyAV 18.1.0 with FFmpeg 8.1, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   PyAV 18.1.0
#   asf wmav2 44100 Hz: 44100 samples written, 43008 read, delay -2048, click at 20 ms: 0.01, first time 0.092 s
#   asf wmav1 44100 Hz: 44100 samples written, 43008 read, delay -2048, click at 20 ms: 0.01, first time 0.092 s
#   asf wmav2 22050 Hz: 22050 samples written, 21504 read, delay -1024, click at 20 ms: 0.01, first time 0.092 s
#   ipod aac 44100 Hz: 44100 samples written, 45056 read, delay 0, click at 20 ms: 0.80, first time 0.000 s
#   mp3 libmp3lame 44100 Hz: 44100 samples written, 44100 read, delay 0, click at 20 ms: 0.80, first time 0.025 s
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


def written(container, codec, sound, rate):
    """Return a mono file of these samples."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout="mono")
        stream.bit_rate = 128_000
        stream.codec_context.open()
        frame = av.AudioFrame.from_ndarray(sound[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        waiting = av.AudioFifo()
        resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=rate)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            waiting.write(part)
        while waiting.samples:
            out.mux(stream.encode(waiting.read(stream.codec_context.frame_size or 1024, partial=True)))
        out.mux(stream.encode(None))
    return file.getvalue()


def read(content):
    """Return all samples, and the time of the first."""
    with av.open(io.BytesIO(content)) as container:
        frames = list(container.decode(audio=0))
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(float), float(frames[0].time)


def delay(found, sound):
    """Return by how many samples a sound is late."""
    part = sound[8_192:16_384]
    return int(np.argmax(np.correlate(found[4_096:20_480], part, "valid"))) - 4_096


print("PyAV", av.__version__)
for container, codec, rate, early in (
    ("asf", "wmav2", 44_100, 2_048), ("asf", "wmav1", 44_100, 2_048), ("asf", "wmav2", 22_050, 1_024),
    ("ipod", "aac", 44_100, 0), ("mp3", "libmp3lame", 44_100, 0),
):
    noise = np.random.default_rng(0).standard_normal(rate + 20)
    sound = 0.05 * np.convolve(noise, np.ones(21) / 5, "valid")
    sound[: rate // 10] = 0
    click = rate // 50
    sound[click : click + 20] = 0.8
    found, first = read(written(container, codec, sound, rate))
    late = delay(found, sound)
    loudest = np.abs(found[: rate // 20]).max()
    print(
        f"{container} {codec} {rate} Hz: {len(sound)} samples written, {len(found)} read, delay {late}, "
        f"click at 20 ms: {loudest:.2f}, first time {first:.3f} s"
    )
    assert late == -early and (loudest < 0.1) == (early > 0)
PYTHON
venv/bin/python check.py
