"""Decoding in a limited child: the samples and the words of the guarded decoder, and children that are replaced."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fakes import tracks

from datamodules.audio import AudioError, decode_bytes, in_child
from datamodules.audio.in_child import Stopped, decode_in_child

pytestmark = pytest.mark.process
RATE = 22_050


@pytest.fixture(autouse=True)
def no_children_stay() -> Iterator[None]:
    yield
    in_child.pool.end()


def encoded(kind: str, subtype: str, seconds: float = 3.0, channels: int = 2) -> bytes:
    rate = 24_000 if subtype == "OPUS" else RATE
    samples = 0.1 * np.random.default_rng(0).standard_normal((round(seconds * rate), channels))
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def decoded(content: bytes, rate: int = 16_000, name: str = "a", **options) -> np.ndarray:
    blocks = decode_in_child(lambda place, length: content[place : place + length], len(content), name, rate, **options)
    return np.concatenate(list(blocks))


@pytest.mark.parametrize(("kind", "subtype"), [
    ("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAV", "IMA_ADPCM"), ("FLAC", "PCM_24"), ("OGG", "VORBIS"), ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"), ("AIFF", "PCM_16"), ("CAF", "PCM_16"), ("W64", "PCM_16"), ("AU", "PCM_16"),
])  # fmt: skip
def test_samples_are_those_of_the_decoder(kind: str, subtype: str) -> None:
    content = encoded(kind, subtype)
    np.testing.assert_array_equal(decoded(content), decode_bytes(content, "a", 16_000))


def test_sound_tracks_are_decoded_too() -> None:
    content = tracks.encoded("ipod", "aac")
    np.testing.assert_array_equal(decoded(content), decode_bytes(content, "a", 16_000))


@pytest.mark.parametrize("content", [
    b"", b"words " * 99, encoded("WAV", "PCM_16")[:-999], encoded("FLAC", "PCM_16")[:-999],
    encoded("MP3", "MPEG_LAYER_III")[:2000], tracks.encoded("ipod", "aac")[:-999],
])  # fmt: skip
def test_words_are_those_of_the_decoder(content: bytes) -> None:
    with pytest.raises(AudioError) as wanted:
        decode_bytes(content, "a", 16_000)
    with pytest.raises(AudioError) as found:
        decoded(content)
    assert str(found.value) == str(wanted.value)


def test_the_stated_length_comes_first() -> None:
    stated: list[float] = []
    blocks = decode_in_child(
        lambda place, length: content[place : place + length], len(content := encoded("WAV", "PCM_16")), "a", 8_000,
        stated=stated.append,
    )  # fmt: skip
    next(blocks)
    blocks.close()
    assert stated == [3.0]


def test_a_child_serves_many_files_and_one_that_dies_is_replaced() -> None:
    content = encoded("WAV", "PCM_16")
    wanted = decoded(content)
    (first,) = in_child.pool.pids()
    np.testing.assert_array_equal(decoded(content), wanted)
    with pytest.raises(AudioError):
        decoded(b"words")
    assert in_child.pool.pids() == [first]
    os.kill(first, signal.SIGKILL)
    with pytest.raises(AudioError, match="its decoder"):
        decoded(content)
    np.testing.assert_array_equal(decoded(content), wanted)
    assert in_child.pool.pids() != [first]


def test_a_child_has_limits() -> None:
    decoded(encoded("WAV", "PCM_16"))
    (child,) = in_child.pool.pids()
    found = {line[:26].strip(): line[26:].split()[0] for line in Path(f"/proc/{child}/limits").read_text().splitlines()}
    assert int(found["Max data size"]) < 400 << 20
    assert int(found["Max cpu time"]) <= 60
    assert found["Max core file size"] == "0"


def test_a_child_that_says_nothing_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_child, "SILENCE_SECONDS", -1.0)
    with pytest.raises(AudioError, match="was ended because it took too long"):
        decoded(encoded("WAV", "PCM_16", 30))


def test_a_caller_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded("WAV", "PCM_16", 20)
    decoded(content)  # a child waits, so that its start takes no time
    monkeypatch.setattr(in_child, "SILENCE_SECONDS", 1.0)
    blocks = decode_in_child(lambda place, length: content[place : place + length], len(content), "a", 8_000)
    next(blocks)
    time.sleep(1.2)
    assert len(list(blocks))


def test_a_wish_to_stop_that_comes_at_the_end_ends_no_child_of_another_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_child, "POLL_SECONDS", 0)
    content = encoded("WAV", "PCM_16", 0.1)
    decoded(content)

    def stop() -> bool:
        time.sleep(0.3)  # the file is done before the answer
        return True

    for _ in range(3):
        try:
            decoded(content, stop=stop)
        except Stopped:
            continue
    time.sleep(0.4)
    np.testing.assert_array_equal(decoded(content), decode_bytes(content, "a", 16_000))


def test_a_child_imports_no_torch() -> None:
    program = "import datamodules.audio.decode_child, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
