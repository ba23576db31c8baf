"""Sound while it arrives: pipes of any kind, a microphone's device, changes with times, and what is reported."""

import io
import struct
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

from bench.errors import BenchWarning, RunError
from bench.inference.classifier import Classifier
from bench.inference.segmentation import segment_blocks
from bench.inference.segments import Smoothing
from bench.inference.sources import PCM, cut, from_file, from_microphone, from_pipe, resampled
from bench.inference.streaming import Stream

RATE = 8_000


class Loudness(nn.Module):
    """Says "loud" for clips whose mean square is above 0.01, else "quiet"."""

    def forward(self, x: Tensor) -> Tensor:
        level = (x.square().mean(1, keepdim=True) - 0.01) * 1_000
        return torch.cat([level, -level], 1)


def classifier(**others: Any) -> Classifier:
    return Classifier(
        name="loudness", module=Loudness(), classes=("loud", "quiet"), task="single", sample_rate=RATE,
        clip_shape=(RATE // 5,), clip_seconds=0.2, **others,
    )  # fmt: skip


def sound(*levels: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.concatenate([level * rng.standard_normal(RATE) for level in levels]).astype(np.float32).clip(-1, 0.99)


SOUND = sound(0.01, 0.3, 0.3, 0.01)


class Clock:
    """Says a time that is a hundredth of a second later at each call."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.01
        return self.now


def test_changes_come_while_sound_arrives() -> None:
    stream = Stream(classifier(), clock=Clock())
    arrived = []

    def chunks() -> Iterator[np.ndarray]:
        for start in range(0, len(SOUND), 800):
            arrived.append(start + 800)
            yield SOUND[start : start + 800]

    changes = [(change, arrived[-1] / RATE) for change in stream.run(chunks())]
    assert [each.label for each, _ in changes] == [1, 0, 1]
    assert [each.time for each, _ in changes] == pytest.approx([0, 1, 3], abs=0.1)
    for change, known in changes[1:]:
        assert 0.3 <= known - change.time <= 0.3 + 0.15 + 0.1 + 0.1 + 0.05  # shortest, median, look-ahead, chunk
    report = stream.report()
    assert report.seconds == 4
    assert report.chunk_seconds == 0.1
    assert report.look_ahead == pytest.approx(0.1)
    assert report.smoothing_delay == pytest.approx(0.3 + 0.14)
    assert len(report.reactions) == 2
    assert report.reaction is not None
    assert report.reaction > 0.3
    assert report.largest_reaction == max(report.reactions)
    assert report.real_time_factor == report.compute_seconds / 4
    assert 40 * 0.01 <= report.compute_seconds < 2
    assert 0 < report.largest_chunk_seconds <= report.compute_seconds


def test_a_stream_has_the_segments_of_the_recording() -> None:
    whole = segment_blocks(classifier(), [SOUND], "x")
    for size in (1_000, 80, 7_777):
        stream = Stream(classifier())
        list(stream.run(cut([SOUND], size)))
        assert stream.segments() == list(whole.segments)


def test_the_callers_time_is_not_the_models() -> None:
    clock = Clock()
    stream = Stream(classifier(), clock=clock)
    for _ in stream.run(cut([SOUND], 800)):
        clock.now += 1_000
    assert stream.report().compute_seconds < 2


def test_an_empty_stream() -> None:
    stream = Stream(classifier())
    assert list(stream.run([])) == []
    report = stream.report()
    assert (report.seconds, report.real_time_factor, report.reaction) == (0, None, None)


def test_preparation_delays_by_its_parts() -> None:
    stream = Stream(classifier(prepare=lambda waveform, rate: waveform))
    assert [change.label for change in stream.run(cut([SOUND], 800))] == [1, 0, 1]
    assert stream.report().look_ahead == pytest.approx(2.1)


def test_the_warm_up_changes_nothing() -> None:
    stream = Stream(classifier(), Smoothing(min_seconds=0))
    stream.warm_up()
    assert stream.report().seconds == 0
    assert next(change.time for change in stream.run([SOUND])) == 0


class Drops(io.BytesIO):
    """A pipe that gives at most seven bytes at a time."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(7, size if size is not None and size >= 0 else 7))


def wav(subtype: str, channels: int = 1, rate: int = RATE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.stack([SOUND] * channels, 1), rate, format="WAV", subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize(
    ("subtype", "error"),
    [("PCM_16", 2**-15), ("PCM_24", 2**-22), ("PCM_32", 2**-23), ("PCM_U8", 2**-6), ("FLOAT", 0), ("DOUBLE", 0)],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_wav_on_a_pipe(subtype: str, error: float, channels: int) -> None:
    found = list(from_pipe(Drops(wav(subtype, channels)), RATE, 999))
    assert {len(part) for part in found[:-1]} == {999}
    np.testing.assert_allclose(np.concatenate(found), SOUND, atol=error)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000])
def test_a_wav_header_that_was_written_into_a_pipe(size: int) -> None:
    content = bytearray(wav("PCM_16"))
    place = content.index(b"data")
    content[place + 4 : place + 8] = struct.pack("<I", size)
    assert len(np.concatenate(list(from_pipe(io.BytesIO(content), RATE, 999)))) == len(SOUND)


def test_what_follows_the_samples_of_a_wav_is_left_out() -> None:
    content = wav("PCM_16") + b"LIST\x04\x00\x00\x00abcd"
    assert len(np.concatenate(list(from_pipe(io.BytesIO(content), RATE, 999)))) == len(SOUND)


@pytest.mark.parametrize("tags", [b"LIST\x0c\x00\x00\x00INFOISFT\0\0\0\0", b"id3 \x0a\x00\x00\x00ID3\4\0\0\0\0\0\0"])
def test_tags_are_no_samples(tags: bytes) -> None:
    content = wav("PCM_16")
    content = content[: content.index(b"data")] + b"data\0\0\0\0" + tags
    with pytest.raises(RunError, match="has no samples"):
        list(from_pipe(io.BytesIO(content), RATE, 500))


def test_padded_samples_are_refused() -> None:
    content = bytearray(wav("PCM_24"))
    place = content.index(b"fmt ") + 8
    content[place : place + 16] = struct.pack("<HHIIHH", 1, 1, RATE, 4 * RATE, 4, 24)
    with pytest.raises(RunError, match=r"frames of 4 bytes for 1 x 24 bits.*write 16 bits"):
        list(from_pipe(io.BytesIO(content), RATE, 500))


def test_a_wav_that_is_cut_off_says_so_after_its_samples() -> None:
    found = from_pipe(Drops(wav("PCM_16")[:-1001]), RATE, 999)
    with pytest.warns(BenchWarning, match="is cut off: 1,001 bytes of the samples"):
        assert len(np.concatenate(list(found))) == len(SOUND) - 501


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("extra", [b"", b"\x01"])
def test_raw_pcm(channels: int, extra: bytes) -> None:
    values = np.repeat(np.rint(SOUND * 32767).astype("<i2"), channels)
    found = from_pipe(Drops(values.tobytes() + extra), RATE, 500, PCM(RATE, channels))
    np.testing.assert_allclose(np.concatenate(list(found)), SOUND, atol=1e-4)


def test_very_short_raw_pcm() -> None:
    assert len(np.concatenate(list(from_pipe(io.BytesIO(b"\0\0" * 3), RATE, 500, PCM(RATE))))) == 3
    assert list(from_pipe(io.BytesIO(b"\0"), RATE, 500, PCM(RATE))) == []


def test_another_rate_is_resampled_as_the_decoder_does(tmp_path: Any) -> None:
    content = wav("PCM_16", rate=11_025)
    (tmp_path / "x.wav").write_bytes(content)
    piped = np.concatenate(list(from_pipe(io.BytesIO(content), RATE, 1_000)))
    decoded = np.concatenate(list(from_file(tmp_path / "x.wav", RATE, 1_000)))
    np.testing.assert_allclose(piped, decoded, atol=1e-6)


@pytest.mark.parametrize(
    ("content", "raw", "words"),
    [
        (b"", None, "has no sound: send WAV"),
        (b"\xff\xfbsome mp3 or other", None, "is no WAV file: send WAV, or raw PCM"),
        (wav("PCM_16"), PCM(RATE), "leave --rate out"),
        (wav("ULAW"), None, "has format 7: send plain PCM"),
        (wav("PCM_16")[:30], None, "no samples, or a damaged header"),
        (b"RIFF\x00\x00\x00\x00WAVEjunk\xff\xff\xff\x7f", None, "no samples, or a damaged header"),
        (np.full(20, np.nan, "<f4").tobytes(), PCM(RATE, 1, 32, True), "not finite"),
    ],
)
def test_pipes_that_cannot_be_used(content: bytes, raw: PCM | None, words: str) -> None:
    with pytest.raises(RunError, match=words):
        list(from_pipe(io.BytesIO(content), RATE, 500, raw))


@pytest.mark.parametrize(
    ("values", "words"), [((100, 1, 16), "out of bounds"), ((RATE, 9, 16), "out of bounds"), ((RATE, 1, 12), "12 bits")]
)
def test_forms_that_are_not_accepted(values: tuple[int, int, int], words: str) -> None:
    with pytest.raises(RunError, match=words):
        PCM(*values)


class Device(ModuleType):
    """Stands in for sounddevice: a microphone that gives a sound once, in the blocks that it is asked for."""

    class PortAudioError(Exception):
        """As in sounddevice."""

    def __init__(self, rate: int = RATE, there: bool = True) -> None:
        super().__init__("sounddevice")
        self.rate = rate
        self.there = there
        self.opened: dict[str, Any] = {}
        device = self

        class InputStream:
            def __init__(self, **settings: Any) -> None:
                if not device.there:
                    raise device.PortAudioError("no such device")
                device.opened = settings

            def __enter__(self) -> None:
                size, take = device.opened["blocksize"], device.opened["callback"]
                for number, start in enumerate(range(0, len(SOUND), size)):
                    block = SOUND[start : start + size, None]
                    take(block, len(block), None, SimpleNamespace(input_overflow=number == 2))

            def __exit__(self, *error: object) -> None:
                device.opened["closed"] = True

        self.InputStream = InputStream

    def check_input_settings(self, **settings: Any) -> None:
        if settings["samplerate"] != self.rate:
            raise self.PortAudioError("Invalid sample rate")

    def query_devices(self, device: object, kind: str) -> dict[str, float]:
        assert kind == "input"
        return {"default_samplerate": float(self.rate)}


def taken(chunks: Iterator[np.ndarray], samples: int) -> np.ndarray:
    found = []
    while sum(map(len, found)) < samples:
        found.append(next(chunks))
    chunks.close()  # type: ignore[attr-defined]
    return np.concatenate(found)


def test_a_microphone(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device()
    monkeypatch.setitem(sys.modules, "sounddevice", device)
    lost: list[int] = []
    opened: list[object] = []
    chunks = from_microphone(RATE, 800, "mine", lambda: lost.append(1), lambda: opened.append(device.opened["device"]))
    assert not opened
    found = taken(chunks, len(SOUND))
    assert opened == ["mine"]
    np.testing.assert_array_equal(found, SOUND)
    assert device.opened["device"] == "mine"
    assert device.opened["samplerate"] == RATE
    assert device.opened["closed"]
    assert lost == [1]


def test_a_microphone_of_another_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(rate=2 * RATE)
    monkeypatch.setitem(sys.modules, "sounddevice", device)
    found = taken(from_microphone(RATE, 800), 12_800)
    assert device.opened["samplerate"] == 2 * RATE
    assert device.opened["blocksize"] == 1_600
    assert len(found) == 12_800


def test_no_microphone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", Device(there=False))
    with pytest.raises(RunError, match=r"cannot be opened \(no such device\)"):
        next(from_microphone(RATE, 800))
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(RunError, match=r"needs sounddevice: pip install .*\[microphone\]"):
        next(from_microphone(RATE, 800))


@pytest.mark.parametrize(("own", "least", "most"), [(48_000, 0.03, 0.05), (44_100, 0.03, 0.05), (8_000, 0.1, 0.13)])
def test_resampling_holds_back_as_much_as_the_documentation_says(own: int, least: float, most: float) -> None:
    """Seconds of sound that have arrived, in chunks of 10 ms, and have not come out."""
    arrived = 0

    def blocks() -> Iterator[np.ndarray]:
        nonlocal arrived
        for _ in range(300):
            arrived += own // 100
            yield np.zeros(own // 100, np.float32)

    given, held = 0, []
    for part in resampled(blocks(), own, 16_000):
        given += len(part)
        held.append(arrived / own - given / 16_000)
    assert least < max(held) < most
    assert given == 48_000


def test_chunks_of_one_size() -> None:
    found = list(cut([np.arange(3), np.arange(3, 4), np.arange(4, 11)], 4))
    assert [part.tolist() for part in found] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
