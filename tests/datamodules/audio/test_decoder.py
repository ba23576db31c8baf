"""The guarded decoder: what libsndfile accepts and we do not, and that what it decodes is right."""

import os
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fakes import malformed
from scipy.signal import resample_poly

from datamodules.audio import AudioError, decode, decode_bytes, length
from datamodules.audio import decoder as audio


def tone(rate: int, seconds: float = 1.0, hertz: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)


@pytest.mark.parametrize(
    ("container", "subtype", "tolerance"),
    [
        ("WAV", "PCM_16", 1e-4),
        ("WAV", "PCM_24", 1e-4),
        ("WAV", "PCM_U8", 1e-2),
        ("WAV", "FLOAT", 1e-4),
        ("WAV", "ULAW", 2e-2),
        ("FLAC", "PCM_16", 1e-4),
        ("AIFF", "PCM_16", 1e-4),
        ("OGG", "VORBIS", 3e-2),
        ("OGG", "OPUS", 3e-2),
        ("MP3", "MPEG_LAYER_III", 3e-2),
    ],
)
def test_decodes_by_content(tmp_path: Path, container: str, subtype: str, tolerance: float) -> None:
    path = tmp_path / "lies.raw"  # a name that soundfile would read as headerless samples
    soundfile.write(path, tone(48_000), 48_000, format=container, subtype=subtype)
    samples = decode(path, 48_000)
    assert samples.dtype == np.float32
    assert samples.shape == (48_000,)
    np.testing.assert_allclose(samples[4_000:-4_000], tone(48_000)[4_000:-4_000], atol=tolerance)
    assert length(path) == pytest.approx(1.0)


@pytest.mark.parametrize("container", ["WAV", "FLAC", "AIFF", "CAF", "OGG", "MP3"])
def test_a_system_without_pread_or_memfd_decodes_the_same_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, container: str
) -> None:
    path = tmp_path / "a"
    soundfile.write(path, tone(48_000, 3.0), 48_000, format=container)
    wanted = decode(path, 32_000)
    monkeypatch.delattr(os, "pread", raising=False)
    monkeypatch.delattr(os, "memfd_create", raising=False)
    np.testing.assert_array_equal(decode(path, 32_000), wanted)
    np.testing.assert_array_equal(decode_bytes(path.read_bytes(), "a", 32_000), wanted)


@pytest.mark.parametrize(("rate", "wanted"), [(44_100, 32_000), (8_000, 16_000), (96_000, 32_000)])
def test_resamples(tmp_path: Path, rate: int, wanted: int) -> None:
    """A tone stays that tone, over several blocks; scipy's polyphase filter agrees."""
    soundfile.write(tmp_path / "a.wav", tone(rate, 3.0), rate, subtype="FLOAT")
    samples = decode(tmp_path / "a.wav", wanted)
    assert len(samples) == 3 * wanted
    inner = slice(wanted // 10, -wanted // 10)
    np.testing.assert_allclose(samples[inner], tone(wanted, 3.0)[inner], atol=1e-3)
    np.testing.assert_allclose(samples[inner], resample_poly(tone(rate, 3.0), wanted, rate)[inner], atol=2e-3)


def test_mixes_channels(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.stack([tone(8_000), np.zeros(8_000)], 1), 8_000, subtype="FLOAT")
    np.testing.assert_allclose(decode(tmp_path / "a.wav", 8_000), tone(8_000) / 2, atol=1e-6)


def test_silence_is_audio(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((100, 2)), 8_000)
    assert not decode(tmp_path / "a.wav", 16_000).any()


@pytest.mark.parametrize("share", [0.3, 0.6, 0.98])
@pytest.mark.parametrize("container", ["WAV", "AIFF", "FLAC", "OGG", "MP3"])
def test_refuses_half_a_file(tmp_path: Path, container: str, share: float, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cut.bin"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 44_100), 44_100, format=container)
    decode(path, 44_100)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(AudioError, match=r"'cut.bin'.*(again|replace)"):
        decode(path, 44_100)
    capfd.readouterr()  # mpg123 writes to stderr


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"<html>404</html>" * 20,
        b"version https://git-lfs.github.com/spec/v1\n",
        b"\x89PNG\r\n\x1a\n" * 9,
        b"PK\3\4" + bytes(99),
        b"RIFF",
        b"RIFF\0\0\0\0WAVE",
        b"OggS",
        b"OggS" + bytes(50),
        b"fLaC" + bytes(50),
        bytes(5000),
    ],
)
def test_refuses_what_is_no_audio(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(AudioError, match=r"'a.wav'"):
        decode(tmp_path / "a.wav", 16_000)


@pytest.mark.parametrize(
    ("samples", "rate", "said"),
    [
        (np.zeros(0), 8_000, "no samples"),
        (np.array([0, np.nan, 0]), 8_000, "NaN or infinite: export"),
        (np.array([0, np.inf, 0]), 8_000, "NaN or infinite: export"),
        (np.array([0, 1e4, 0]), 8_000, r"outside \[-1, 1\]"),
        (np.zeros(100), 3_999, "3999 Hz"),
        (np.zeros(100), 192_001, "192001 Hz"),
        (np.zeros((100, 9)), 8_000, "9 channels"),
        (np.stack([tone(8_000), -tone(8_000)], 1), 8_000, "opposite phase"),
        (np.zeros(8_000 * 3), 8_000, "at most 2 s"),
    ],
)
def test_refuses_out_of_bounds(tmp_path: Path, samples: np.ndarray, rate: int, said: str) -> None:
    soundfile.write(tmp_path / "a.wav", samples, rate, subtype="FLOAT")
    soundfile.read(tmp_path / "a.wav")  # which takes it
    with pytest.raises(AudioError, match=said):
        decode(tmp_path / "a.wav", 16_000, max_seconds=2.0)


def test_refuses_what_is_no_regular_file(tmp_path: Path) -> None:
    malformed.socket(tmp_path / "socket.wav")
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "dangling.wav").symlink_to(tmp_path / "nothing")
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    for name, said in (
        ("socket", "is not a regular file"),
        ("folder", "is not a regular file"),
        ("dangling", "cannot be opened"),
        ("loop", "cannot be opened"),
        ("absent", "cannot be opened"),
    ):
        with pytest.raises(AudioError, match=f"'{name}.wav' {said}"):
            decode(tmp_path / f"{name}.wav", 16_000)


@pytest.mark.parametrize("name", ["a b.wav", "né'\"\n.wav", "x" * 250 + ".wav", os.fsdecode(b"\xff\xfe.wav")])
def test_reads_any_name(tmp_path: Path, name: str) -> None:
    soundfile.write(tmp_path / "plain.wav", tone(8_000), 8_000)
    (tmp_path / "plain.wav").rename(tmp_path / name)
    assert len(decode(tmp_path / name, 8_000)) == 8_000
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(AudioError) as caught:
        decode(tmp_path / name, 8_000)
    str(caught.value).encode()  # can be printed


def test_a_false_header_allocates_nothing(tmp_path: Path) -> None:
    """A FLAC of one second that says it lasts eleven minutes, and one that says it lasts 500 seconds."""
    soundfile.write(tmp_path / "a.flac", tone(4_000), 4_000)
    content = bytearray((tmp_path / "a.flac").read_bytes())
    # STREAMINFO: the last 36 bits before the MD5 are the number of samples.
    content[21:26] = bytes([content[21] & 0xF0]) + struct.pack(">I", 4_000 * 660)
    (tmp_path / "a.flac").write_bytes(content)
    with pytest.raises(AudioError, match="at most 600 s"):
        decode(tmp_path / "a.flac", 16_000)
    # Below the cap the lie is found by decoding.
    content[21:26] = bytes([content[21] & 0xF0]) + struct.pack(">I", 4_000 * 500)
    (tmp_path / "a.flac").write_bytes(content)

    def refused() -> None:
        with pytest.raises(AudioError, match="'a"):
            decode(tmp_path / "a.flac", 16_000)

    assert peak_bytes(refused) < 2e6  # 8 MB claimed


def test_memory_does_not_grow_with_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """20 s of eight silent channels at 16 kHz are 10.2 MB of float32; the mono result at 8 kHz has 0.6 MB."""
    monkeypatch.setattr(audio, "BLOCK", 1 << 12)
    with soundfile.SoundFile(tmp_path / "silent.flac", "w", 16_000, 8) as file:
        for _ in range(20):
            file.write(np.zeros((16_000, 8), np.int16))
    assert (tmp_path / "silent.flac").stat().st_size < 1e5
    assert peak_bytes(lambda: soundfile.read(tmp_path / "silent.flac", dtype="float32")) > 10e6  # all at once
    assert peak_bytes(lambda: decode(tmp_path / "silent.flac", 8_000)) < 2.5e6


def peak_bytes(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_blocks_together_are_the_whole_file(tmp_path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", 0.1 * np.random.default_rng(0).standard_normal(7 * 44_100), 44_100)
    blocks = list(audio.decode_blocks(tmp_path / "a.wav", rate))
    assert len(blocks) > 2
    assert np.array_equal(np.concatenate(blocks), audio.decode(tmp_path / "a.wav", rate))
