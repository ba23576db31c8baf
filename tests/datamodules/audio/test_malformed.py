"""Malformed, mutated and growing audio files, read in child processes; each fault is shown to matter."""

import re
import struct
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from fakes import bombs, malformed, mutants, reading
from fakes.malformed import Case

from datamodules.audio import AudioError, decode, decode_bytes, inspect
from datamodules.audio import decoder as audio

pytestmark = pytest.mark.process

MIB = 2**20


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Case]]:
    folder = tmp_path_factory.mktemp("malformed") / "corpus"
    return folder, malformed.write(folder)


def unlike(cases: Sequence[Case], results: Sequence[dict[str, Any]]) -> list[str]:
    """Return the cases that came to anything but what they must."""
    wrong = []
    for case, found in zip(cases, results, strict=True):
        if case.samples is None:
            right = found["result"] == "refused" and bool(found["error"])
        else:
            right = found["result"] == "accepted" and 0 <= found["samples"] - case.samples <= case.slack
            right = right and found["whole"] and found["seconds"] < 2
        if not right:
            wrong.append(f"{case.name!a}: {found}")
    return wrong


def test_each_malformed_file_comes_to_what_it_must(corpus: tuple[Path, list[Case]]) -> None:
    folder, cases = corpus
    assert len({case.name for case in cases}) == len(cases) == 173
    assert sum(case.samples is None for case in cases) == 131
    results, peak = reading.read([folder / case.name for case in cases], 300, folder)
    assert unlike(cases, results) == []
    assert peak < 100 * MIB
    errors = [found["error"] for case, found in zip(cases, results, strict=True) if case.samples is None]
    assert all("\n" not in error and error.isprintable() for error in errors)
    said = {case.name: found.get("error", "") for case, found in zip(cases, results, strict=True)}
    for name in ("socket.wav", "link-to-socket.wav", "folder.wav"):
        assert "is not a regular file" in said[name]
    assert "says it lasts 660 s" in said["flac-says-minutes.flac"]
    assert "its header says 100 frames" in said["xing-says-more.mp3"]
    assert "cannot be read to its end (it has 49536 samples, 11326" in said["half-of-it-read.mp3"]
    assert "its samples would end at byte 1,048,620" in said["data-says-far-more.wav"]
    assert "has 1000 Hz" in said["one-kilohertz.wav"]
    assert "has 400000 Hz" in said["four-hundred-kilohertz.wav"]
    silent = {case.name for case, found in zip(cases, results, strict=True) if found.get("silent")}
    assert silent == {"silence.wav"}


HIDDEN = [
    "cut-0.5.wav", "cut-0.99.wav", "cut-0.99.mp3", "cut-0.5.aiff", "cut-by-2.wav", "cut-adpcm.wav",
    "cut-without-xing.mp3", "half-of-it-read.mp3", "riff-says-more.wav", "data-says-more.wav",
    "data-says-far-more.wav", "data-says-less.wav", "data-says-none.wav", "seven-bit.wav", "one-kilohertz.wav",
    "four-hundred-kilohertz.wav", "rate-low.wav", "nine-channels.wav", "channels-1024.wav", "aiff-says-more.aiff",
    "form-says-more.aiff", "flac-says-less.flac", "xing-says-more.mp3", "zeros-inside.mp3", "nan.wav", "inf.wav",
    "huge.wav", "integers.wav", "no-samples.wav", "opposite.wav", "eleven-minutes.flac", "two-streams.ogg",
    "outside.wav", "half.voc", "half.au", "half.w64",
]  # fmt: skip


def test_soundfile_alone_hides_these_faults(corpus: tuple[Path, list[Case]]) -> None:
    """What the corpus refuses would otherwise train: whole or in part, no error is raised."""
    folder, cases = corpus
    refused = {case.name for case in cases if case.samples is None}
    assert refused.issuperset(HIDDEN)
    results, _ = reading.read([folder / name for name in HIDDEN], 300, how="alone")
    assert [name for name, found in zip(HIDDEN, results, strict=True) if found["result"] != "accepted"] == []


def test_a_bit_in_plain_samples_is_only_seen_in_the_digest(tmp_path: Path) -> None:
    """Why `bench data verify` keeps a manifest."""
    wav = malformed.encoded("WAV", "PCM_16")
    path = tmp_path / "a.wav"
    path.write_bytes(wav)
    whole = inspect(path)
    path.write_bytes(malformed.flip(wav, 5_000))
    rotten = inspect(path)
    assert (rotten.samples, rotten.subtype) == (whole.samples, whole.subtype)
    assert rotten.sha256 != whole.sha256
    assert rotten.content != whole.content


def test_a_wav_that_was_written_into_a_pipe_is_read() -> None:
    """ffmpeg then states the largest number as both sizes; where only the samples' size says so, it is a lie."""
    wav = malformed.encoded("WAV", "PCM_16")
    piped = malformed.put(malformed.put(wav, 4, b"\xff" * 4), 40, b"\xff" * 4)
    np.testing.assert_array_equal(
        decode_bytes(piped, "piped.wav", malformed.RATE), decode_bytes(wav, "whole.wav", malformed.RATE)
    )
    with pytest.raises(AudioError, match="its samples would end at byte"):
        decode_bytes(malformed.put(piped, 4, wav[4:8]), "false.wav", malformed.RATE)


def test_links_stay_inside(corpus: tuple[Path, list[Case]]) -> None:
    folder, _ = corpus
    inspect(folder / "outside.wav")  # without a root, the caller checks the name by `tables.csv_table.inside`
    with pytest.raises(AudioError, match=r"'outside\.wav' is a link to a file outside"):
        inspect(folder / "outside.wav", root=folder)
    assert inspect(folder / "link.wav", root=folder).samples == malformed.SAMPLES


def test_2000_mutants() -> None:
    """`python tests/fakes/mutants.py --count 20000` reads more."""
    results, bad, peak = mutants.campaign(2_000)
    assert bad == []
    assert set(results) == {"refused", "accepted"}
    assert results.total() == 2_000
    assert min(results.values()) > 200  # damage that is too much, or too little, tests nothing
    assert peak < 100 * MIB


@pytest.mark.parametrize("name", bombs.BOMBS)
def test_bombs(tmp_path: Path, name: str) -> None:
    path = tmp_path / "bomb"
    bombs.BOMBS[name].build(path)
    assert path.stat().st_size <= MIB
    (found,), peak = reading.read([path], 300, max_seconds=bombs.SECONDS)
    assert found["result"] == "refused"
    assert re.search(bombs.BOMBS[name].said, found["error"])
    assert found["seconds"] < 6
    assert peak < 100 * MIB


@pytest.mark.parametrize("name", bombs.BOMBS)
def test_refusing_a_bomb_takes_little_memory(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block is a quarter of a second, so reading the whole file at once would show."""
    monkeypatch.setattr(audio, "BLOCK", 1 << 11)
    path = tmp_path / "bomb"
    bombs.BOMBS[name].build(path)
    tracemalloc.start()
    try:
        with pytest.raises(AudioError, match=bombs.BOMBS[name].said):
            decode(path, 8_000, bombs.SECONDS)
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()


def test_there_are_ten_bombs() -> None:
    assert len(bombs.BOMBS) == 10


def test_other_peoples_files_raise_no_false_alarm() -> None:
    """SciPy's test files, of many writers: those in bounds are read, those it says are odd are refused."""
    folder = Path(scipy.io.__file__).parent / "tests" / "data"
    found = {}
    for path in sorted(folder.glob("test-*.wav")):
        try:
            found[path.name] = inspect(path).samples
        except AudioError as error:
            found[path.name] = str(error)
    if not found:
        pytest.skip(f"this SciPy has no test files in {folder}: install it from its wheel")
    sound = {name: samples for name, samples in found.items() if isinstance(samples, int)}
    assert sound == {
        "test-44100Hz-2ch-32bit-float-be.wav": 441,
        "test-44100Hz-2ch-32bit-float-le.wav": 441,
        "test-44100Hz-be-1ch-4bytes.wav": 4_410,
        "test-44100Hz-le-1ch-4bytes-rf64.wav": 4_410,
        "test-44100Hz-le-1ch-4bytes.wav": 4_410,
        "test-48000Hz-2ch-64bit-float-le-wavex.wav": 480,
        "test-8000Hz-be-3ch-5S-24bit.wav": 5,
        "test-8000Hz-le-1ch-1byte-ulaw.wav": 9,
        "test-8000Hz-le-2ch-1byteu.wav": 800,
        "test-8000Hz-le-3ch-5S-24bit-rf64.wav": 5,
        "test-8000Hz-le-3ch-5S-24bit.wav": 5,
        "test-8000Hz-le-4ch-9S-12bit.wav": 9,
    }
    assert "cut off" in found["test-44100Hz-le-1ch-4bytes-early-eof.wav"]


@pytest.mark.parametrize(
    ("kind", "bits", "right"), [(1, 24, True), (1, 20, False), (1, 16, False), (0xFFFE, 24, False)]
)
def test_samples_in_wider_containers_are_read_right_or_refused(kind: int, bits: int, right: bool) -> None:
    sine = 0.5 * np.sin(0.05 * np.arange(8_000))
    samples = (np.round(sine * (1 << (bits - 1))).astype("<i4") << (32 - bits)).tobytes()
    form = struct.pack("<HHIIHH", kind, 1, 8_000, 32_000, 4, bits)
    if kind != 1:
        form += struct.pack("<HHI", 22, bits, 0) + bytes.fromhex("0100000000001000800000aa00389b71")
    content = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(samples)) + samples
    content = b"RIFF" + struct.pack("<I", len(content)) + content
    if right:
        np.testing.assert_allclose(decode_bytes(content, "a.wav", 8_000), sine, atol=1e-6)
    else:
        with pytest.raises(
            AudioError, match=rf"'a.wav' has padded samples \({bits} bits in 4 bytes\).*packed samples of 16"
        ):
            decode_bytes(content, "a.wav", 8_000)
