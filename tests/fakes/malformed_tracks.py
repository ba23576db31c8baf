"""Malformed files that PyAV decodes, large and old relatives of WAV, and files that were written into a pipe.

    python tests/fakes/malformed_tracks.py FOLDER

As in `fakes.malformed`: all are harmless, and each is refused or accepted with the length given.
"""

import struct
import sys
from pathlib import Path

import numpy as np
from fakes import tracks
from fakes.malformed import SAMPLES, Case, encoded, flip, le32, noise, put, written

RATE = 16_000


def track(container: str, codec: str, sound: np.ndarray | None = None, rate: int = RATE, **options: object) -> bytes:
    """Return a file of half a second of noise, unless other sound is given."""
    return tracks.encoded(container, codec, noise() if sound is None else sound, rate, **options)  # type: ignore[arg-type]


def piped_wav(riff: int, data: int, kind: str = "PCM_16") -> bytes:
    """Return a WAV with these sizes."""
    wav = encoded("WAV", kind)
    return put(put(wav, 4, le32(riff)), 40, le32(data))


def piped_aiff(form: int, frames: int, ssnd: int) -> bytes:
    """Return an AIFF with these sizes."""
    aiff = encoded("AIFF", "PCM_16")
    for at, size in ((4, form), (aiff.index(b"COMM") + 10, frames), (aiff.index(b"SSND") + 4, ssnd)):
        aiff = put(aiff, at, struct.pack(">I", size))
    return aiff


def piped_flac(content: bytes) -> bytes:
    """Return a FLAC whose header states neither its length nor the MD5 of its samples."""
    return put(content, 21, bytes([content[21] & 0xF0]) + bytes(20))


def cases() -> list[Case]:
    """Return all cases."""
    found: list[Case] = []

    def refused(name: str, content: bytes) -> None:
        found.append(Case(name, written(content)))

    def accepted(name: str, content: bytes, samples: int = SAMPLES, slack: int = 0) -> None:
        found.append(Case(name, written(content), samples, slack))

    opus = noise(3 * SAMPLES)  # at 48 kHz
    sounds = {
        "m4a": track("ipod", "aac"),
        "alac.m4a": track("ipod", "alac"),
        "fast.m4a": track("ipod", "aac", options={"movflags": "faststart"}),
        "live.m4a": track("ipod", "aac", piped=True, options={"movflags": "frag_keyframe+empty_moov"}),
        "mp4": track("mp4", "aac", pictures=True),
        "mov": track("mov", "pcm_s16le"),
        "3gp": track("3gp", "libopencore_amrnb", noise(SAMPLES), 8_000),
        "webm": track("webm", "libopus", opus, 48_000),
        "live.webm": track("webm", "libopus", opus, 48_000, piped=True),
        "mkv": track("matroska", "flac"),
        "live.mkv": track("matroska", "pcm_s16le", piped=True),
        "wma": track("asf", "wmav2", noise(SAMPLES)),
        "amr": track("amr", "libopencore_amrnb", noise(SAMPLES), 8_000),
        "aac": track("adts", "aac"),
        "rf64": encoded("RF64", "PCM_16"),
        "w64": encoded("W64", "PCM_16"),
        "au": encoded("AU", "PCM_16"),
        "sph": encoded("NIST", "PCM_16"),
    }
    lengths = {"webm": 3 * SAMPLES, "live.webm": 3 * SAMPLES, "wma": 6_144}
    slack = {"live.m4a": 1_024, "live.webm": 312, "amr": 160, "aac": 2_048, "wma": 4_096}
    for kind, content in sounds.items():
        accepted(f"whole.{kind}", content, lengths.get(kind, SAMPLES), slack.get(kind, 0))
        accepted(f"{kind.replace('.', '-')}-is.wav", content, lengths.get(kind, SAMPLES), slack.get(kind, 0))
        for share in (0.01, 0.1, 0.5, 0.9, 0.99):
            refused(f"cut-{share}.{kind}", content[: int(share * len(content))])
        refused(f"cut-by-1.{kind}", content[:-1])

    # Headers that lie, and tracks that are not there
    m4a, mov = sounds["m4a"], sounds["mov"]
    refused("brand-only.m4a", m4a[: int.from_bytes(m4a[:4])])
    refused("index-only.m4a", m4a[:32] + m4a[m4a.index(b"moov") - 4 :])
    refused("no-index.m4a", m4a[: m4a.index(b"moov") - 4])
    long = put(m4a, m4a.index(b"stts") + 8, struct.pack(">I", 90))
    refused("says-more.m4a", put(long, long.index(b"elst") + 12, struct.pack(">I", 5_000)))
    for kind, codec in (("mkv", "mp3"), ("mka", "aac")):
        short = track("matroska", codec, noise(6_000))
        at = short.index(b"\x44\x89\x88") + 3  # how many milliseconds it lasts
        (lasts,) = struct.unpack(">d", short[at : at + 8])
        refused(f"says-a-bit-more.{kind}", put(short, at, struct.pack(">d", lasts + 300)))
    refused("box-says-more.mov", put(mov, mov.index(b"mdat") - 4, struct.pack(">I", 10**6)))
    refused("box-says-nothing.mov", put(mov, mov.index(b"mdat") - 4, struct.pack(">I", 4)))
    refused("picture-only.mp4", silent_film())
    refused("ebml-only.webm", sounds["webm"][:40])
    refused("asf-only.wma", sounds["wma"][:30])
    refused("reserved-frame.amr", put(sounds["amr"], 6 + 13, b"\x5c"))
    refused("zeros-inside.amr", put(sounds["amr"], len(sounds["amr"]) // 2, bytes(100)))
    refused("zeros-inside.aac", put(sounds["aac"], len(sounds["aac"]) // 2, bytes(600)))
    refused("magic-only.amr", b"#!AMR\n")
    refused("rf64-says-more.wav", put(sounds["rf64"], 28, struct.pack("<Q", 4 * SAMPLES)))
    refused("w64-says-more.w64", put(sounds["w64"], 16, struct.pack("<Q", 10**6)))
    refused("au-says-more.au", put(sounds["au"], 8, struct.pack(">I", 4 * SAMPLES)))
    refused("au-says-less.au", put(sounds["au"], 8, struct.pack(">I", SAMPLES)))
    refused("sph-says-more.sph", sounds["sph"].replace(b"sample_count -i 8000", b"sample_count -i 9000"))
    refused("sph-says-less.sph", sounds["sph"].replace(b"sample_count -i 8000", b"sample_count -i 4000"))
    refused("sph-says-nothing.sph", sounds["sph"].replace(b"sample_count -i 8000", b"sample_caunt -i 8000"))

    # Sound that does not start with the file
    accepted("late.mkv", track("matroska", "flac", start=0.6))
    accepted("late.mka", track("matroska", "mp3", start=0.6), slack=2 * 1_152)
    accepted("late.webm", track("webm", "libopus", opus, 48_000, start=0.6), 3 * SAMPLES, 960)
    accepted("late.wma", track("asf", "wmav2", noise(SAMPLES), start=0.6), 6_144, 4_096)

    # Bit rot that a checksum shows
    refused("rot.mkv", flip(sounds["mkv"], len(sounds["mkv"]) // 2))
    refused("hole.mkv", put(sounds["mkv"], len(sounds["mkv"]) // 2, bytes(1_000)))
    refused("hole.m4a", put(m4a, 2_000, bytes(1_000)))

    # Samples that are none, or out of bounds
    for name, value in {"nan": np.nan, "inf": np.inf, "huge": 1e30}.items():
        sound = noise()
        sound[SAMPLES // 2] = value
        refused(f"{name}.mov", track("mov", "pcm_f32le", sound))
    refused("opposite.mov", track("mov", "pcm_s16le", noise() * [1, -1]))
    refused("rate-low.mov", track("mov", "pcm_s16le", rate=2_000))
    refused("eleven-minutes.m4a", track("ipod", "alac", np.zeros((660 * 8_000, 1)), 8_000))
    accepted("silence.m4a", track("ipod", "alac", np.zeros((SAMPLES, 1))))
    accepted("six-channels.mov", track("mov", "pcm_s16le", noise(channels=6)))
    accepted("short.m4a", track("ipod", "alac", noise(1)), 1)

    # Written into a pipe
    most = 0xFFFFFFFF
    wav, flac = encoded("WAV", "PCM_16"), encoded("FLAC", "PCM_16")
    for name, sizes in {
        "ffmpeg": (most, most), "sox": (0x7FFFF024, 0x7FFFF000), "lame": (0x80000023, 0x7FFFFFFF), "mpg123": (36, 0),
        "zeros": (0, 0),
    }.items():  # fmt: skip
        accepted(f"{name}-pipe.wav", piped_wav(*sizes))
        refused(f"{name}-pipe-broke.wav", piped_wav(*sizes)[:-1])
    accepted("sox-24-pipe.wav", piped_wav(0x7FFFF024, 0x7FFFEFFE, "PCM_24"))
    accepted("estimate-too-low.wav", piped_wav(36 + 2 * 7_000, 2 * 7_000))
    decoded = encoded("WAV", "PCM_16", noise(7 * 1_152))
    said = 2 * (len(noise(7 * 1_152)) + 1_151)
    accepted("estimate-too-high.wav", put(put(decoded, 4, le32(36 + said)), 40, le32(said)), 7 * 1_152)
    refused("no-estimate.wav", put(put(decoded[:-2], 4, le32(36 + said)), 40, le32(said)))
    refused("estimate-far-too-high.wav", put(put(decoded, 4, le32(36 + 3 * said)), 40, le32(3 * said)))
    accepted("ffmpeg-pipe.rf64", put(sounds["rf64"], 20, bytes(16)))
    accepted("bw64.wav", put(sounds["rf64"], 0, b"BW64"))
    accepted("ffmpeg-pipe.aiff", piped_aiff(0, 0, 0))
    accepted("sox-pipe.aiff", piped_aiff(0x7F000050, 0x3F800000, 0x7F000008))
    refused("sox-pipe-broke.aiff", piped_aiff(0x7F000050, 0x3F800000, 0x7F000008)[:-3])
    refused("sox-pipe-of-nothing.aiff", piped_aiff(0x7F000050, 0x3F800000, 0x7F000008)[:54])
    accepted("sox-pipe.au", put(sounds["au"], 8, struct.pack(">I", most)))
    refused("sox-pipe-broke.au", put(sounds["au"], 8, struct.pack(">I", most))[:-1])
    caf = encoded("CAF", "PCM_16")
    end = caf.index(b"data")
    accepted("ffmpeg-pipe.caf", put(caf, end + 4, struct.pack(">q", -1))[: end + 16 + 2 * SAMPLES])
    pipe = piped_flac(flac)
    accepted("pipe.flac", pipe)
    accepted("pipe-24.flac", piped_flac(encoded("FLAC", "PCM_24", noise(3 * SAMPLES, 2))), 3 * SAMPLES)
    accepted("pipe-tagged.flac", b"ID3\4\0\0\0\0\0\x0a" + bytes(10) + pipe + b"TAG" + bytes(125))
    for share in (0.1, 0.5, 0.9, 0.99):
        refused(f"pipe-cut-{share}.flac", pipe[: int(share * len(pipe))])
    refused("pipe-cut-by-1.flac", pipe[:-1])
    refused("pipe-rot.flac", flip(pipe, len(pipe) // 2))
    refused("pipe-rot-late.flac", flip(pipe, len(pipe) - 50))
    refused("pipe-hole.flac", pipe[: len(pipe) // 3] + pipe[2 * len(pipe) // 3 :])
    accepted("riff-with-list-after.wav", wav + b"LIST" + le32(40) + b"INFO" + bytes(36))
    return found


def silent_film() -> bytes:
    """Return a video without a sound track."""
    import io

    import av

    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as file:
        stream = file.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(5):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        file.mux(stream.encode(None))
    return out.getvalue()


def write(folder: Path) -> list[Case]:
    """Write all cases into a folder, which is made; return the cases."""
    folder.mkdir(parents=True)
    every = cases()
    for case in every:
        case.make(folder / case.name)
    return every


if __name__ == "__main__":
    sys.stdout.write(f"{len(write(Path(sys.argv[1])))} files\n")
