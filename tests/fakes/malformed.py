"""Malformed audio: 166 files, each with what must become of it.

    python tests/fakes/malformed.py FOLDER

All are harmless: none states, holds or unpacks to more than some megabytes, and none makes a reader wait.
A case is refused, or accepted with the length given; nothing else will do. Some that look odd are valid: their names
lie, not their content. `hidden` cases are those that plain soundfile reads as if nothing were wrong.
"""

import io
import os
import stat
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000
SAMPLES = 8_000


@dataclass(frozen=True)
class Case:
    """One malformed file.

    Attributes:
        name: of the file.
        make: writes it.
        samples: how many it has, where it must be accepted; None where it must be refused.
        slack: how many samples its coding may add.
    """

    name: str
    make: Callable[[Path], object]
    samples: int | None = None
    slack: int = 0


def noise(samples: int = SAMPLES, channels: int = 1) -> np.ndarray:
    """Return noise `(S, C)`."""
    return 0.1 * np.random.default_rng(samples).standard_normal((samples, channels))


def encoded(container: str, subtype: str | None = None, sound: np.ndarray | None = None, rate: int = RATE) -> bytes:
    """Return an audio file's bytes."""
    file = io.BytesIO()
    soundfile.write(file, noise() if sound is None else sound, rate, format=container, subtype=subtype)
    return file.getvalue()


def put(content: bytes, at: int, new: bytes) -> bytes:
    """Return the content with other bytes at a place."""
    return content[:at] + new + content[at + len(new) :]


def flip(content: bytes, at: int, bit: int = 3) -> bytes:
    """Return the content with one bit flipped."""
    return put(content, at, bytes([content[at] ^ 1 << bit]))


def le32(number: int) -> bytes:
    """Return four bytes, the least first."""
    return struct.pack("<I", number)


def without_xing(mp3: bytes) -> bytes:
    """Return an MP3 without its first frame, the header that says how long it is."""
    return mp3[mp3.index(mp3[:2], 4) :]


def mp3_of_two_bitrates() -> bytes:
    """Return an MP3 whose first frames are far longer than the others, so that it seems to have few."""
    file = io.BytesIO()
    sound = np.concatenate([noise(RATE), np.zeros((2 * RATE, 1))])
    with soundfile.SoundFile(
        file, "w", 44_100, 1, format="MP3", subtype="MPEG_LAYER_III", bitrate_mode="VARIABLE"
    ) as out:
        out.write(sound)
    return without_xing(file.getvalue())


def mp3_in_wav(frames: bytes, piped: bool = False) -> bytes:
    """Return a wav file of MP3 frames, as ffmpeg writes it to a file or into a pipe."""
    about = struct.pack("<HHIIHHHHIHHH", 0x55, 1, RATE, 16_000, 1_152, 0, 12, 1, 2, 1_152, 1, 1_393)
    fact = struct.pack("<I", 0xFFFFFFFF if piped else SAMPLES)
    chunks = b"WAVEfmt " + le32(len(about)) + about + b"fact" + le32(4) + fact + b"data"
    sizes = [0xFFFFFFFF] * 2 if piped else [len(chunks) + 4 + len(frames) + len(frames) % 2, len(frames)]
    return b"RIFF" + le32(sizes[0]) + chunks + le32(sizes[1]) + frames + bytes(len(frames) % 2)


def pages(ogg: bytes) -> list[bytes]:
    """Return an Ogg file's pages."""
    starts = [i for i in range(len(ogg)) if ogg[i : i + 5] == b"OggS\0"]
    return [ogg[a:b] for a, b in zip(starts, [*starts[1:], len(ogg)], strict=True)]


def written(content: bytes) -> Callable[[Path], object]:
    """Return what writes these bytes."""
    return lambda path: path.write_bytes(content)


def linked(target: str | Path) -> Callable[[Path], object]:
    """Return what makes a link."""
    return lambda path: path.symlink_to(target)


def socket(path: Path) -> None:
    """Make a socket: no regular file, and an error at once for whoever opens it."""
    os.mknod(path, stat.S_IFSOCK | 0o600)


def cases() -> list[Case]:
    """Return all cases."""
    wav, flac, ogg, opus, mp3, aiff, caf = (
        encoded("WAV", "PCM_16"),
        encoded("FLAC", "PCM_16"),
        encoded("OGG", "VORBIS", noise(4 * SAMPLES)),  # of several pages
        encoded("OGG", "OPUS"),
        encoded("MP3"),
        encoded("AIFF", "PCM_16"),
        encoded("CAF", "PCM_16"),
    )
    found: list[Case] = []

    def refused(name: str, content: bytes) -> None:
        found.append(Case(name, written(content)))

    def accepted(name: str, content: bytes, samples: int = SAMPLES, slack: int = 0) -> None:
        found.append(Case(name, written(content), samples, slack))

    # No audio at all
    refused("empty.wav", b"")
    refused("text.wav", b"This is not a sound.\n")
    refused("not-found.wav", b"<!DOCTYPE html><html><title>404 Not Found</title></html>\n" * 9)
    refused("lfs.wav", b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 88244\n")
    refused("png.wav", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(200))
    refused("zip.wav", b"PK\3\4\x14\0\0\0\x08\0" + bytes(200))
    refused("gzip.wav", b"\x1f\x8b\x08\0" + bytes(200))
    refused("pdf.mp3", b"%PDF-1.7\n" + bytes(range(256)) * 4)
    refused("zeros.wav", bytes(5_000))
    refused("ones.mp3", b"\xff" * 5_000)
    refused("random.mp3", np.random.default_rng(0).bytes(20_000))
    refused("riff.wav", b"RIFF")
    refused("avi.wav", b"RIFF\xf8\0\0\0AVI LIST" + bytes(240))
    refused("webp.wav", b"RIFF\xf8\0\0\0WEBPVP8 " + bytes(240))
    refused("header-only.wav", wav[:12])
    refused("id3-only.mp3", b"ID3\4\0\0\0\0\2\0" + bytes(256))
    refused("oggs.ogg", b"OggS")
    refused("flac-marker.flac", b"fLaC")
    refused("caff.caf", b"caff\0\1\0\0")
    refused("midi.wav", b"MThd\0\0\0\6\0\1\0\2\1\xe0MTrk" + bytes(40))

    # Cut off
    for share in (0.01, 0.1, 0.5, 0.9, 0.99):
        for kind, content in {"wav": wav, "flac": flac, "ogg": ogg, "opus": opus, "mp3": mp3, "aiff": aiff}.items():
            refused(f"cut-{share}.{kind}", content[: int(share * len(content))])
    refused("cut-0.5.caf", caf[: len(caf) // 2])
    refused("cut-0.99.caf", caf[: int(0.99 * len(caf))])
    refused("cut-by-2.wav", wav[:-2])
    refused("cut-by-1.flac", flac[:-1])
    refused("cut-by-1.ogg", ogg[:-1])
    refused("cut-by-1.mp3", mp3[:-1])
    refused("cut-last-page.ogg", b"".join(pages(ogg)[:-1]))
    refused("cut-without-xing.mp3", without_xing(mp3)[: len(mp3) // 2])
    refused("cut-mp3-in-wav.wav", mp3_in_wav(without_xing(mp3))[:-40])
    refused("cut-frame-in-wav.wav", mp3_in_wav(without_xing(mp3)[:-40]))
    refused("cut-frame-in-pipe.wav", mp3_in_wav(without_xing(mp3), piped=True)[:-40])
    refused("cut-adpcm.wav", encoded("WAV", "IMA_ADPCM")[:-600])

    # Headers that lie
    refused("riff-says-more.wav", put(wav, 4, le32(2 * len(wav))))
    refused("data-says-more.wav", put(wav, 40, le32(2 * 2 * SAMPLES)))
    refused("data-says-far-more.wav", put(wav, 40, le32(2**20)))
    refused("data-says-less.wav", put(wav, 40, le32(100)))
    refused("data-says-none.wav", put(wav, 40, le32(0)))
    refused("seven-bit.wav", put(wav, 34, struct.pack("<H", 7)))
    refused("zero-bit.wav", put(wav, 34, struct.pack("<H", 0)))
    refused("thirty-two-bit.wav", put(wav, 34, struct.pack("<H", 32)))
    refused("no-alignment.wav", put(wav, 32, struct.pack("<H", 0)))
    refused("no-channels.wav", put(wav, 22, struct.pack("<H", 0)))
    refused("two-channels.wav", put(wav, 22, struct.pack("<H", 2)))
    refused("many-channels.wav", put(wav, 22, struct.pack("<H", 1_024)))
    refused("unknown-coding.wav", put(wav, 20, struct.pack("<H", 0x1234)))
    refused("no-fmt.wav", put(wav, 12, b"junk"))
    refused("no-data.wav", put(wav, 36, b"junk"))
    refused("one-kilohertz.wav", put(wav, 24, le32(1_000)))
    refused("no-hertz.wav", put(wav, 24, le32(0)))
    refused("four-hundred-kilohertz.wav", put(wav, 24, le32(400_000)))
    refused("aiff-says-more.aiff", put(aiff, aiff.index(b"COMM") + 10, struct.pack(">I", 2 * SAMPLES)))
    refused("aiff-says-less.aiff", put(aiff, aiff.index(b"COMM") + 10, struct.pack(">I", SAMPLES // 2)))
    refused("ssnd-says-more.aiff", put(aiff, aiff.index(b"SSND") + 4, struct.pack(">I", 10**6)))
    refused("form-says-more.aiff", put(aiff, 4, struct.pack(">I", 10**6)))
    refused("data-says-more.caf", put(caf, caf.index(b"data") + 4, struct.pack(">q", 10**6)))
    refused("flac-says-more.flac", put(flac, 22, struct.pack(">I", SAMPLES + 1)))
    refused("flac-says-less.flac", put(flac, 22, struct.pack(">I", SAMPLES // 2)))
    refused("flac-says-minutes.flac", put(encoded("FLAC", "PCM_16", rate=4_000), 22, struct.pack(">I", 660 * 4_000)))
    refused("xing-says-more.mp3", put(mp3, mp3.index(b"Xing") + 8, struct.pack(">I", 100)))
    refused("half-of-it-read.mp3", mp3_of_two_bitrates())
    accepted("riff-says-nothing.wav", put(wav, 4, le32(0)))  # streamed, but its samples are counted
    accepted("riff-says-less.wav", put(wav, 4, le32(36)))  # the same, and nothing is lost
    accepted("streamed.wav", put(wav, 4, b"\xff" * 4))  # the same, as others write it into a pipe

    # Bit rot that a checksum or a frame shows; in plain samples only the manifest can
    refused("rot.flac", flip(flac, len(flac) // 2))
    refused("rot-late.flac", flip(flac, len(flac) - 50))
    refused("rot.ogg", flip(ogg, len(ogg) // 2))
    refused("rot-in-header.ogg", flip(ogg, 60))
    refused("rot.opus", flip(opus, len(opus) // 2))
    refused("rot-in-checksum.ogg", flip(ogg, len(ogg) - len(pages(ogg)[-1]) + 23))
    refused("page-missing.ogg", b"".join(pages(ogg)[:3] + pages(ogg)[4:]))
    refused("page-twice.ogg", b"".join(pages(ogg)[:4] + pages(ogg)[3:]))
    refused("two-streams.ogg", ogg + opus)
    refused("zeros-inside.mp3", put(mp3, len(mp3) // 2, bytes(600)))
    refused("hole.flac", put(flac, len(flac) // 2, bytes(1_000)))

    # Samples that are none
    for name, value in {"nan": np.nan, "inf": np.inf, "minus-inf": -np.inf, "huge": 1e30, "integers": 20_000}.items():
        sound = noise()
        sound[SAMPLES // 2] = value
        refused(f"{name}.wav", encoded("WAV", "FLOAT", sound))
    refused("nan.aiff", encoded("AIFF", "DOUBLE", np.full(100, np.nan)))
    refused("no-samples.wav", encoded("WAV", "PCM_16", noise(0)))
    refused("no-samples.flac", encoded("FLAC", "PCM_16", noise(0)))
    refused("no-samples.aiff", encoded("AIFF", "PCM_16", noise(0)))
    refused("opposite.wav", encoded("WAV", "PCM_16", noise() * [1, -1]))
    refused("opposite.flac", encoded("FLAC", "PCM_16", noise() * [1, -1]))
    accepted("one-sample.wav", encoded("WAV", "PCM_16", noise(1)), 1)
    accepted("silence.wav", encoded("WAV", "PCM_16", np.zeros(SAMPLES)))  # the reader counts silent clips
    accepted("constant.wav", encoded("WAV", "PCM_16", np.full(SAMPLES, 0.5)))

    # Out of bounds
    refused("rate-low.wav", encoded("WAV", "PCM_16", rate=3_999))
    refused("rate-high.wav", encoded("WAV", "PCM_16", rate=192_001))
    refused("nine-channels.wav", encoded("WAV", "PCM_16", noise(channels=9)))
    refused("channels-1024.wav", encoded("WAV", "PCM_16", noise(100, 1_024)))
    refused("eleven-minutes.flac", encoded("FLAC", "PCM_16", np.zeros(660 * 4_000, np.int16), rate=4_000))
    accepted("rate-lowest.wav", encoded("WAV", "PCM_16", rate=4_000))
    accepted("rate-highest.wav", encoded("WAV", "PCM_16", rate=192_000))
    accepted("eight-channels.wav", encoded("WAV", "PCM_16", noise(channels=8)))
    refused("half.voc", encoded("VOC", "PCM_16")[:SAMPLES])
    refused("half.au", encoded("AU", "PCM_16")[:SAMPLES])
    refused("half.w64", encoded("W64", "PCM_16")[:SAMPLES])

    # Names that lie about sound content
    accepted("mp3.wav", mp3)
    accepted("mp3-in-wav.wav", mp3_in_wav(without_xing(mp3)), slack=2 * 1_152)  # whole frames
    accepted("mp3-in-pipe.wav", mp3_in_wav(without_xing(mp3), piped=True), slack=2 * 1_152)
    accepted("two-bitrates-in-wav.wav", mp3_in_wav(mp3_of_two_bitrates()), 43 * 1_152 - 529)  # less the decoder's delay
    accepted("mp3-with-xing-in-wav.wav", mp3_in_wav(mp3), slack=2 * 1_152)
    accepted("flac.wav", flac)
    accepted("vorbis.wav", ogg, 4 * SAMPLES)
    accepted("opus.mp3", opus)
    accepted("aiff.wav", aiff)
    accepted("caf.wav", caf)
    accepted("wav.mp3", wav)
    accepted("u-law.wav", encoded("WAV", "ULAW"))
    accepted("a-law.wav", encoded("WAV", "ALAW"))
    accepted("adpcm.wav", encoded("WAV", "IMA_ADPCM"), slack=1_016)  # whole blocks
    accepted("ms-adpcm.wav", encoded("WAV", "MS_ADPCM"), slack=1_016)
    accepted("eight-bit.wav", encoded("WAV", "PCM_U8"))
    accepted("24-bit.wav", encoded("WAV", "PCM_24"))
    accepted("32-bit.wav", encoded("WAV", "PCM_32"))
    accepted("double.wav", encoded("WAV", "DOUBLE"))
    accepted("extensible.wav", encoded("WAVEX", "PCM_24", noise(channels=2)))
    accepted("alac.caf", encoded("CAF", "ALAC_16"))
    accepted("aifc-u-law.aiff", encoded("AIFF", "ULAW"))
    accepted("tagged.mp3", b"ID3\4\0\0\0\0\2\0" + bytes(256) + mp3 + b"TAG" + bytes(125))
    accepted("chunks-after.wav", wav + b"LIST" + le32(40) + b"INFO" + bytes(36))
    accepted("padded.wav", wav + bytes(3_000))

    # Names that are hard, content that is sound
    for name in ("a b c.wav", "né 音 🎵.wav", 'it\'s "quoted".wav', "two\nlines.wav", "x" * 246 + ".wav", "-rf.wav"):
        accepted(name, wav)
    accepted(os.fsdecode(b"\xff\xfe\x80.wav"), wav)
    refused(os.fsdecode(b"\xff-empty.wav"), b"")

    # No regular files, or elsewhere
    outside = "../outside.wav"
    found += [
        Case("socket.wav", socket),
        Case("folder.wav", Path.mkdir),
        Case("dangling.wav", linked("nowhere.wav")),
        Case("loop.wav", linked("loop.wav")),
        Case("loop-of-two.wav", linked("loop-back.wav")),
        Case("loop-back.wav", linked("loop-of-two.wav")),
        Case("null.wav", linked("/dev/null")),
        Case("link-to-socket.wav", linked("socket.wav")),
        Case("outside.wav", linked(outside)),
        Case("link.wav", linked("eight-bit.wav"), SAMPLES),
        Case("absent.wav", lambda path: None),
    ]
    return found


def write(folder: Path) -> list[Case]:
    """Write all cases into a folder, which is made, and a sound file beside it; return the cases."""
    folder.mkdir(parents=True)
    (folder.parent / "outside.wav").write_bytes(encoded("WAV", "PCM_16"))
    every = cases()
    for case in every:
        case.make(folder / case.name)
    return every


if __name__ == "__main__":
    sys.stdout.write(f"{len(write(Path(sys.argv[1])))} files\n")
