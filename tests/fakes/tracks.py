"""Sound tracks that PyAV writes, to a file or into a pipe: what phones, browsers and programs leave behind."""

import io
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

RATE = 44_100


class Pipe:
    """A file to which one can only append."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, content: Any) -> int:
        self.parts.append(bytes(content))
        return len(content)


def tones(rate: int = RATE, seconds: float = 1.0, hertz: tuple[float, ...] = (440.0, 660.0)) -> np.ndarray:
    """Return a tone for each channel, `(S, C)`; no two channels of the defaults have a period in common for 1 s."""
    time = np.arange(round(rate * seconds)) / rate
    sweep = 1 + 0.2 * time  # so that a shift shows
    return np.stack([0.5 * np.sin(2 * np.pi * each * time * sweep) for each in hertz], 1)


def encoded(
    container: str,
    codec: str,
    sound: np.ndarray | None = None,
    rate: int = RATE,
    *,
    piped: bool = False,
    pictures: bool = False,
    start: float = 0.0,
    options: dict[str, str] | None = None,
) -> bytes:
    """Return a file of this sound `(S, C)`, which starts after `start` seconds; with `pictures` a video with it."""
    sound = tones(rate) if sound is None else sound
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[sound.shape[1]]
    if (options or {}).get("movflags") == "faststart":  # which reads the file again, by its name
        with tempfile.TemporaryDirectory() as folder:
            return _written(str(Path(folder) / "a"), container, codec, sound, rate, layout, pictures, start, options)
    out: Any = Pipe() if piped else io.BytesIO()
    return _written(out, container, codec, sound, rate, layout, pictures, start, options)


def _written(
    out: Any,
    container: str,
    codec: str,
    sound: np.ndarray,
    rate: int,
    layout: str,
    pictures: bool,
    start: float,
    options: dict[str, str] | None,
) -> bytes:
    with av.open(out, "w", format=container, options=options or {}) as file:
        video = file.add_stream("mpeg4", rate=25) if pictures else None
        stream = file.add_stream(codec, rate=rate, layout=layout)
        context: Any = stream.codec_context
        if codec.startswith("wma"):
            context.bit_rate = 128_000
        if codec == "vorbis":
            context.options = {"strict": "-2"}
        if video is not None:
            video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
            for number in range(round(25 * len(sound) / rate)):
                picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), number % 256, np.uint8), format="rgb24")
                file.mux(video.encode(picture))
            file.mux(video.encode(None))
        context.open(strict=False)
        whole = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound.T, np.float32), format="fltp", layout=layout)
        whole.sample_rate, whole.pts, whole.time_base = rate, 0, Fraction(1, rate)
        resampler = av.AudioResampler(format=context.format, layout=context.layout, rate=context.sample_rate)
        waiting = av.AudioFifo()
        for frame in (*resampler.resample(whole), *resampler.resample(None)):
            waiting.write(frame)
        while waiting.samples:
            frame = waiting.read(context.frame_size or 1024, partial=True)
            frame.pts += round(start * context.sample_rate)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    if isinstance(out, str):
        return Path(out).read_bytes()
    return b"".join(out.parts) if isinstance(out, Pipe) else out.getvalue()
