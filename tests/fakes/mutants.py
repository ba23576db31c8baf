"""Audio files damaged at random, read in child processes: nothing may kill, hang or surprise the decoder.

    python tests/fakes/mutants.py --count 20000
    python tests/fakes/mutants.py --count 20000 --tracks

With --tracks the files are those that PyAV decodes, and RF64, W64, AU and SPHERE. Seeded: mutant i is the same every
time. Prints how many were refused and accepted, deaths by signal, errors that are not ours, readings of more than 2 s,
and the children's peak memory.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[1]))

import numpy as np  # noqa: E402
import soundfile  # noqa: E402
from fakes import malformed, reading  # noqa: E402

SLOW = 2.0  # seconds of the processor
CHUNK = 500  # mutants a child reads
PATIENCE = 120.0  # seconds without a word from a child
MAX_STATED = 1 << 20
"""Most samples, and bytes of a chunk, that a mutant may say it has."""

EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


@cache
def tracks() -> tuple[bytes, ...]:
    """Return a sound file of every kind that PyAV decodes, and of every large or old relative of WAV."""
    from fakes.malformed_tracks import piped_flac, track

    sound = malformed.noise(4_000)
    live = {"movflags": "frag_keyframe+empty_moov"}
    return (
        track("ipod", "aac", sound),
        track("ipod", "alac", sound),
        track("ipod", "aac", sound, piped=True, options=live),
        track("mp4", "aac", sound, pictures=True),
        track("mp4", "libopus", malformed.noise(12_000), 48_000),
        track("mp4", "flac", sound),
        track("mov", "pcm_s16le", sound),
        track("mov", "adpcm_ima_qt", sound),
        track("3gp", "libopencore_amrnb", sound, 8_000),
        track("webm", "libopus", malformed.noise(12_000), 48_000),
        track("webm", "libopus", malformed.noise(12_000), 48_000, piped=True),
        track("webm", "vorbis", malformed.noise(4_000, 2)),
        track("matroska", "flac", sound),
        track("matroska", "libmp3lame", sound),
        track("matroska", "ac3", sound, 48_000),
        track("matroska", "pcm_f32le", sound),
        track("asf", "wmav2", malformed.noise(8_000)),
        track("asf", "wmav1", malformed.noise(8_000)),
        track("amr", "libopencore_amrnb", sound, 8_000),
        track("adts", "aac", sound),
        *(malformed.encoded(kind, "PCM_16", sound) for kind in ("RF64", "W64", "AU", "NIST")),
        piped_flac(malformed.encoded("FLAC", "PCM_16", sound)),
    )


@cache
def originals() -> tuple[bytes, ...]:
    """Return a sound file of every kind that libsndfile reads."""
    sound = malformed.noise(4_000)
    kinds = [
        ("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "PCM_U8"), ("WAV", "FLOAT"), ("WAV", "ULAW"),
        ("WAV", "IMA_ADPCM"), ("WAV", "MS_ADPCM"), ("WAV", "GSM610"), ("WAV", "G721_32"), ("WAVEX", "PCM_32"),
        ("AIFF", "PCM_16"), ("AIFF", "IMA_ADPCM"), ("CAF", "PCM_16"), ("CAF", "ALAC_16"), ("FLAC", "PCM_16"),
        ("FLAC", "PCM_24"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("MP3", "MPEG_LAYER_III"),
        ("VOC", "PCM_16"), ("W64", "PCM_16"), ("AU", "PCM_16"), ("MAT5", "PCM_16"), ("XI", "DPCM_16"),
    ]  # fmt: skip
    files = [malformed.encoded(*kind, sound=sound, rate=44_100 if kind[0] == "XI" else 16_000) for kind in kinds]
    files[19] = malformed.without_xing(files[19])
    return tuple(files)


def mutant(number: int, files: tuple[bytes, ...]) -> bytes:
    """Return one of these files damaged, the first of a random row that is harmless."""
    rng = np.random.default_rng([7, number])
    while not harmless(content := damaged(number, rng, files)):
        pass
    return content


def harmless(content: bytes) -> bool:
    """Say whether a file states no more than some megabytes, so that no reader who believes it sets aside more."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        try:
            with soundfile.SoundFile(file.fileno(), closefd=False) as sound:
                if sound.frames * sound.channels > MAX_STATED:
                    return False
        except soundfile.SoundFileError:
            pass
    if content[:4] in (b"RIFF", b"RIFX", b"RF64"):
        order: Literal["big", "little"] = "big" if content[:4] == b"RIFX" else "little"
        at = 12
        while len(chunk := content[at : at + 8]) == 8:
            length = int.from_bytes(chunk[4:], order)
            if length > MAX_STATED:
                return False
            at += 8 + length + length % 2
    return True


def damaged(number: int, rng: np.random.Generator, files: tuple[bytes, ...]) -> bytes:
    """Return a file with one to four faults."""
    content = bytearray(files[number % len(files)])
    for _ in range(int(rng.integers(1, 5))):
        # Half of all damage is in the first 200 bytes, where the headers are.
        reach = min(200, len(content)) if rng.random() < 0.5 else len(content)
        at = int(rng.integers(max(1, reach)))
        length = int(rng.integers(1, 1 + min(300, max(1, len(content) - at))))
        kind = rng.integers(10)
        if kind <= 2:
            content[at : at + 1] = bytes([(content[at] if at < len(content) else 0) ^ 1 << int(rng.integers(8))])
        elif kind <= 4:
            width = int(rng.choice((1, 2, 4, 8)))
            number_there = int(rng.choice(EXTREMES)) & ((1 << 8 * width) - 1)
            content[at : at + width] = number_there.to_bytes(width, "little" if rng.random() < 0.5 else "big")
        elif kind == 5:
            content[at : at + length] = rng.bytes(length)
        elif kind == 6:
            del content[at : at + length]
        elif kind == 7:
            content[at:at] = content[at : at + length]
        elif kind == 8:
            del content[at:]
        else:
            other = files[int(rng.integers(len(files)))]
            content[at:] = other[min(at, len(other)) :]
    return bytes(content)


def campaign(count: int, first: int = 0, kind: str = "files") -> tuple[Counter[str], list[str], int]:
    """Read mutants in child processes.

    Args:
        count: how many.
        first: number of the first.
        kind: "files", which libsndfile reads, or "tracks".

    Returns:
        How many came to what, each that came to no good in words, and the children's peak memory in bytes.
    """
    results: Counter[str] = Counter()
    bad: list[str] = []
    peak, at = 0, first
    while at < first + count:
        upto = min(at + CHUNK, first + count)
        said, end = _child(at, upto, kind)
        for line in said:
            peak = max(peak, line["peak"])
            slow = line["seconds"] > SLOW
            results["slow" if slow else line["result"]] += 1
            if slow or line["result"] in ("untyped", "died"):
                bad.append(f"mutant {at}: {line}")
            at += 1
        if at < upto:
            results[end] += 1
            bad.append(f"mutant {at}: {end}")
            at += 1
    return results, bad, peak


def _child(first: int, upto: int, kind: str) -> tuple[list[dict[str, Any]], str]:
    """Return what a child says of each mutant, and what ended it should some be lacking."""
    with tempfile.TemporaryFile() as answers:
        command = [
            sys.executable,
            str(HERE),
            "--child",
            str(first),
            str(upto),
            *(["--tracks"] if kind == "tracks" else []),
        ]
        child = subprocess.Popen(command, stdout=answers, stderr=subprocess.DEVNULL, env=reading.environment())
        seen, last_word = 0, time.monotonic()
        while child.poll() is None:
            time.sleep(0.02)
            if (size := os.fstat(answers.fileno()).st_size) > seen:
                seen, last_word = size, time.monotonic()
            elif time.monotonic() - last_word > PATIENCE:
                child.kill()
                child.wait()
                break
        answers.seek(0)
        lines = [json.loads(line) for line in answers.read().decode().split("\n")[:-1]]
    hung = time.monotonic() - last_word > PATIENCE
    return lines, "hung" if hung else f"died ({child.returncode})"


def _read(first: int, upto: int, files: tuple[bytes, ...]) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mutant"
        for number in range(first, upto):
            path.write_bytes(mutant(number, files))
            yield reading.outcome(path) | {"peak": reading.peak_memory()}


def main() -> None:
    """Print the figures; exit code 1 if any mutant came to no good."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--tracks", action="store_true")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--child", type=int, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        for said in _read(*given.child, tracks() if given.tracks else originals()):
            sys.stdout.write(json.dumps(said) + "\n")
            sys.stdout.flush()
        return
    began = time.perf_counter()
    results, bad, peak = campaign(given.count, given.first, "tracks" if given.tracks else "files")
    sys.stdout.write("\n".join([*bad, f"{dict(results)}, {peak / 2**20:.0f} MiB, {time.perf_counter() - began:.0f} s"]))
    sys.stdout.write("\n")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
