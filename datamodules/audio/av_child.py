"""A process that decodes sound tracks by PyAV, and that may die of it: the other side of `datamodules.audio.av_file`.

It is started as a program and imports nothing of this project but its messages. It opens no file: it asks the process
that started it for bytes. FFmpeg gets one demuxer by name and the decoders of sound alone, so no playlist, picture or
address in a file is followed. The kernel limits its memory and, for each file, its processor time.

The messages are those of `datamodules.children.messages`; the samples of B are `(S, C)`, and X has two texts: why the
sound cannot be used, and what to do.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))

from datamodules.children.messages import Asked, limited, receive, refuse, send

MEMORY = 192 << 20  # bytes, in addition to what the process has when it has imported everything
BLOCK = 1 << 16  # samples in a message
DECODERS = (
    "aac,aac_latm,ac3,alac,als,amrnb,amrwb,libopencore_amrnb,libopencore_amrwb,dca,eac3,flac,mp1,mp1float,mp2,mp2float,"
    "mp3,mp3float,opus,libopus,pcm_alaw,pcm_f32be,pcm_f32le,pcm_f64be,pcm_f64le,pcm_mulaw,pcm_s16be,pcm_s16le,"
    "pcm_s24be,pcm_s24le,pcm_s32be,pcm_s32le,pcm_s8,pcm_u8,adpcm_ima_qt,adpcm_ms,adpcm_ima_wav,truehd,mlp,tta,vorbis,"
    "libvorbis,wavpack,wmalossless,wmapro,wmav1,wmav2,wmavoice,gsm,gsm_ms,qdm2,qcelp"
)
SCALES = {"u8": 2.0**7, "s16": 2.0**15, "s32": 2.0**31, "s64": 2.0**63}


CONVERT = "convert it by `ffmpeg -i OLD NEW.wav`"


class Unusable(Exception):  # noqa: N818 - it is a state of the file
    """A sound that cannot be used: words that continue "the file ...", and what to do."""

    def __init__(self, words: str, remedy: str = "fetch it again") -> None:
        super().__init__(words, remedy)


def samples(frame: Any) -> NDArray[np.float32]:
    """Return a frame's samples `(S, C)`, full scale 1, channels as they are."""
    name = frame.format.name.removesuffix("p")
    values = frame.to_ndarray()
    values = values.T if frame.format.is_planar else values.reshape(frame.samples, -1)
    if name in ("flt", "dbl"):
        return np.ascontiguousarray(values, np.float32)
    if name not in SCALES:
        raise Unusable(f"has samples of a kind that is not known ({name})", CONVERT)
    shifted = values.astype(np.float64) - (128 if name == "u8" else 0)
    return np.ascontiguousarray(shifted / SCALES[name], np.float32)


def frames(container: Any, stream: Any) -> Iterator[Any]:
    """Yield the frames of a sound track; raise `Unusable` at the first fault."""
    for packet in container.demux(stream):
        if packet.is_corrupt:
            raise Unusable("is cut off or damaged (a packet is not whole)")
        for frame in packet.decode():
            if frame.is_corrupt:
                raise Unusable("is damaged (a frame is not whole)")
            if frame.samples:
                yield frame


def facts(container: Any, stream: Any, frame: Any) -> dict[str, Any]:
    """Return what is known of the sound from its headers and its first frame."""
    rate = frame.sample_rate
    pictures = any(other.type == "video" for other in container.streams)
    stated = None
    if stream.duration and stream.time_base:
        stated = float(stream.duration * stream.time_base * rate)
    elif container.duration and not pictures:
        stated = container.duration / 1_000_000 * rate
    extra = bytes(stream.codec_context.extradata or b"")
    return {
        "rate": rate,
        "channels": frame.layout.nb_channels,
        "codec": stream.codec_context.codec.canonical_name,
        "stated": stated,
        "exact": bool(stream.duration and stream.time_base and stream.time_base.numerator == 1
                      and stream.time_base.denominator == rate),
        "start": max(0.0, frame.time or 0.0) * rate,
        "opus": extra[:19].hex() if extra[:8] == b"OpusHead" else "",
    }  # fmt: skip


def decode(request: dict[str, Any], file: Asked, outgoing: BinaryIO) -> int:
    """Send the sound of a file, and return the number of samples of its longest frame."""
    with av.open(
        file,
        format=request["demuxer"],
        options={"codec_whitelist": DECODERS, "protocol_whitelist": "none", "max_streams": "16"},
        metadata_errors="replace",
    ) as container:
        stream = container.streams.best("audio")
        if stream is None:
            raise Unusable("has no sound track", "remove it")
        context = stream.codec_context
        if context is None or context.name not in DECODERS.split(","):
            raise Unusable(
                f"has a sound track of a kind that is not read ({context.name if context else '?'})", CONVERT
            )
        context.thread_count = 1
        context.options = {"err_detect": "crccheck+bitstream+buffer+explode", "codec_whitelist": DECODERS}
        first, longest = None, 0
        parts: list[NDArray[np.float32]] = []
        for frame in frames(container, stream):
            kind = (frame.sample_rate, frame.layout.nb_channels)
            if first is None:
                first = kind
                send(outgoing, b"H", json.dumps(facts(container, stream, frame)).encode())
                if request["facts"]:
                    return 0
            elif kind != first:
                raise Unusable(
                    f"changes from {first[0]} Hz and {first[1]} channels to {kind[0]} Hz and {kind[1]}", CONVERT
                )
            longest = max(longest, frame.samples)
            parts.append(samples(frame))
            if sum(map(len, parts)) >= BLOCK:
                send(outgoing, b"B", np.concatenate(parts).tobytes())
                parts.clear()
        if first is None:
            raise Unusable("has a sound track without samples")
        if parts:
            send(outgoing, b"B", np.concatenate(parts).tobytes())
        return longest


def main() -> None:
    """Decode file after file until the other process is gone."""
    incoming, outgoing = sys.stdin.buffer, sys.stdout.buffer
    av.logging.set_level(None)
    limit = limited(MEMORY)
    while True:
        request = json.loads(receive(incoming))
        limit(request["seconds"])
        try:
            longest = decode(request, Asked(incoming, outgoing, request["size"]), outgoing)
            send(outgoing, b"E", str(longest).encode())
        except Unusable as error:
            refuse(outgoing, *error.args)
        except MemoryError:
            refuse(outgoing, "is damaged (it needs more memory to be decoded than any sound does)", "fetch it again")
        except (av.FFmpegError, ValueError, OverflowError, ArithmeticError) as error:
            words = getattr(error, "strerror", None) or str(error)
            refuse(outgoing, f"is damaged (it cannot be decoded: {words})", "fetch it again")


if __name__ == "__main__":
    main()
