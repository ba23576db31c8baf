"""Sound tracks that PyAV decodes, and what programs write into pipes: values, lengths and rates against references."""

import io
import os
import signal
import struct
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from fakes import malformed, malformed_tracks, mutants, reading, tracks
from fakes.tracks import RATE, tones

from datamodules.audio import AudioError, av_file, decode, decode_bytes, inspect, length, pipes

pytestmark = pytest.mark.process

MIB = 2**20


@pytest.fixture(autouse=True)
def no_children_stay() -> Iterator[None]:
    yield
    av_file._pool.end()


KINDS = [
    # container, codec, rate, decoded samples for one second, error of the mean of the channels, its delay
    ("ipod", "aac", 44_100, 44_100, 0.2, 0),
    ("ipod", "alac", 44_100, 44_100, 1e-4, 0),
    ("mp4", "aac", 48_000, 48_000, 0.2, 0),
    ("mp4", "libopus", 48_000, 48_000, 0.02, 0),
    ("mp4", "flac", 44_100, 44_100, 1e-4, 0),
    ("mov", "pcm_s16le", 44_100, 44_100, 1e-4, 0),
    ("mov", "pcm_s24le", 96_000, 96_000, 1e-6, 0),
    ("mov", "pcm_f32le", 44_100, 44_100, 1e-7, 0),
    ("mov", "pcm_u8", 44_100, 44_100, 1e-2, 0),
    ("webm", "libopus", 48_000, 48_000, 0.02, 0),
    ("matroska", "flac", 44_100, 44_100, 1e-4, 0),
    ("matroska", "pcm_s16le", 44_100, 44_100, 1e-4, 0),
    ("matroska", "libmp3lame", 44_100, 44_100, 0.2, 0),
    ("matroska", "aac", 44_100, 45_056, 0.2, 0),  # the last frame to its end: only MP4 says where the sound ends
    ("adts", "aac", 44_100, 46_080, 0.2, 1_024),  # and only MP4 and Matroska say where it begins
    ("asf", "wmav2", 44_100, 43_008, 0.02, -2_048),  # FFmpeg leaves out the first frame
]


@pytest.mark.parametrize(("container", "codec", "rate", "samples", "error", "delay"), KINDS)
def test_a_sound_track_is_the_mean_of_its_channels(
    container: str, codec: str, rate: int, samples: int, error: float, delay: int
) -> None:
    """FFmpeg's own mix to mono has 3 dB more in floats."""
    sound = tones(rate)
    mono = decode_bytes(tracks.encoded(container, codec, sound, rate), "a", rate)
    assert mono.dtype == np.float32
    assert mono.shape == (samples,)
    inner = slice(4_096, 40_000)
    wanted = sound.mean(1)[inner]
    found = mono[inner.start + delay : inner.stop + delay]
    np.testing.assert_allclose(found, wanted, atol=error)
    assert np.vdot(found, wanted) / np.vdot(wanted, wanted) == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_number_of_channels_is_averaged(channels: int) -> None:
    sound = np.zeros((RATE, channels))
    sound[:, -1] = tones()[:, 0]
    mono = decode_bytes(tracks.encoded("mov", "pcm_f32le", sound), "a", RATE)
    np.testing.assert_allclose(mono, sound.mean(1), atol=1e-7)


def test_amr_is_speech_of_8_kilohertz() -> None:
    sound = tones(8_000, hertz=(440.0,))
    mono = decode_bytes(tracks.encoded("amr", "libopencore_amrnb", sound, 8_000), "a", 8_000)
    assert mono.shape == (51 * 160,)
    spectrum = np.abs(np.fft.rfft(mono[:8_000]))
    assert 440 <= spectrum.argmax() <= 528  # the tone rises


def test_the_track_of_a_video_is_decoded_and_a_video_without_is_refused() -> None:
    film = tracks.encoded("mp4", "aac", pictures=True)
    assert decode_bytes(film, "a.mp4", RATE).shape == (RATE,)
    with pytest.raises(AudioError, match=r"'b\.mp4' has no sound track: remove it"):
        decode_bytes(malformed_tracks.silent_film(), "b.mp4", RATE)


def test_a_track_in_another_coding_is_to_be_converted() -> None:
    content = tracks.encoded("matroska", "wavpack")
    with pytest.raises(AudioError, match=r"of a kind that is not read \(\?\): convert it by `ffmpeg -i OLD NEW\.wav`"):
        decode_bytes(content.replace(b"A_WAVPACK4", b"A_WAVBACK4"), "a.mkv", RATE)


def test_it_is_resampled_as_other_sound_is() -> None:
    sound = tones(48_000)
    content = tracks.encoded("mov", "pcm_f32le", sound, 48_000)
    wav = io.BytesIO()
    soundfile.write(wav, sound, 48_000, format="WAV", subtype="FLOAT")
    np.testing.assert_array_equal(decode_bytes(content, "a", 32_000), decode_bytes(wav.getvalue(), "b", 32_000))


def test_facts_of_a_track(tmp_path: Path) -> None:
    path = tmp_path / "lies.wav"
    path.write_bytes(tracks.encoded("ipod", "aac"))
    sound = inspect(path)
    assert (sound.container, sound.subtype, sound.samples, sound.sample_rate, sound.channels) == (
        "MP4", "AAC", RATE, RATE, 2,
    )  # fmt: skip
    assert length(path) == pytest.approx(1.0)
    path.write_bytes(tracks.encoded("webm", "libopus", tones(48_000), 48_000, piped=True))  # of no stated length
    assert length(path) == pytest.approx(1.0)


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 48_000])
def test_opus_has_the_rate_of_its_header(tmp_path: Path, rate: int) -> None:
    """FFmpeg decodes all Opus to 48 kHz."""
    path = tmp_path / "a.webm"
    path.write_bytes(tracks.encoded("webm", "libopus", tones(rate), rate))
    sound = inspect(path)
    assert (sound.sample_rate, sound.samples) == (rate, rate)


@pytest.mark.parametrize(
    ("stated", "rate", "samples"), [(22_050, 22_050, 22_050), (44_100, 44_100, 44_100), (0, 48_000, 48_000)]
)
def test_opus_in_ogg_has_the_rate_of_its_header(tmp_path: Path, stated: int, rate: int, samples: int) -> None:
    """libsndfile rounds it up to a rate of Opus; opusenc writes the rate of what it was given."""
    from datamodules.audio.containers import ogg_crc

    path = tmp_path / "a.opus"
    soundfile.write(path, tones(24_000)[:, 0], 24_000, format="OGG", subtype="OPUS")
    content = path.read_bytes()
    page = malformed.put(content[:47], 28 + 12, malformed.le32(stated))
    page = malformed.put(page, 22, malformed.le32(ogg_crc(malformed.put(page, 22, bytes(4)))))
    path.write_bytes(page + content[47:])
    sound = inspect(path)
    assert (sound.sample_rate, sound.samples) == (rate, samples)


def test_malformed_tracks_come_to_what_they_must(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    cases = malformed_tracks.write(folder)
    assert len({case.name for case in cases}) == len(cases) == 218
    assert sum(case.samples is None for case in cases) == 157
    results, peak = reading.read([folder / case.name for case in cases], 300, folder)
    wrong = []
    for case, found in zip(cases, results, strict=True):
        right = found["result"] == ("refused" if case.samples is None else "accepted") and found["seconds"] < 2
        if case.samples is not None and right:
            right = 0 <= found["samples"] - case.samples <= case.slack and found["whole"]
        if not right:
            wrong.append(f"{case.name}: {found}")
    assert wrong == []
    assert peak < 150 * MIB
    errors = [found["error"] for found in results if found["result"] == "refused"]
    assert all(error.isprintable() for error in errors)


def test_mutants_of_tracks() -> None:
    """`python tests/fakes/mutants.py --count 20000 --tracks` reads more."""
    results, bad, peak = mutants.campaign(500, kind="tracks")
    assert bad == []
    assert set(results) == {"refused", "accepted"}
    assert results.total() == 500
    assert min(results.values()) > 50
    assert peak < 150 * MIB


def test_a_child_serves_many_files_and_one_that_dies_is_replaced() -> None:
    content = tracks.encoded("ipod", "aac", tones(8_000), 8_000)
    wanted = decode_bytes(content, "a", 8_000)
    (first,) = av_file.children()
    np.testing.assert_array_equal(decode_bytes(content, "a", 8_000), wanted)
    assert av_file.children() == [first]
    os.kill(first, signal.SIGKILL)
    with pytest.raises(AudioError, match="its decoder"):
        decode_bytes(content, "a", 8_000)
    np.testing.assert_array_equal(decode_bytes(content, "a", 8_000), wanted)
    (second,) = av_file.children()
    assert second != first


def test_a_child_has_limits() -> None:
    decode_bytes(tracks.encoded("ipod", "aac"), "a", RATE)
    (child,) = av_file.children()
    limits = Path(f"/proc/{child}/limits").read_text()
    found = {line[:26].strip(): line[26:].split()[0] for line in limits.splitlines()}
    assert int(found["Max data size"]) < 300 * MIB
    assert int(found["Max cpu time"]) <= 60
    assert found["Max core file size"] == "0"


def test_a_file_that_takes_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processor's time is limited by the kernel; a whole second is the least that it counts."""
    monkeypatch.setattr(av_file, "SECONDS", -1e4)
    with pytest.raises(AudioError, match=r"'a' is damaged \(its decoder"):
        decode_bytes(tracks.encoded("ipod", "aac"), "a", RATE)


def test_a_refused_file_leaves_no_process(tmp_path: Path) -> None:
    path = tmp_path / "long.m4a"
    path.write_bytes(tracks.encoded("ipod", "alac", np.zeros((30 * 8_000, 1)), 8_000))
    with pytest.raises(AudioError, match="says it lasts 30 s"):
        decode(path, 8_000, 2.0)
    assert len(av_file.children()) <= 1


@pytest.mark.parametrize("found", [None, "17.2.1"])
def test_without_pyav_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch, found: str | None) -> None:
    def version(name: str) -> str:
        if found is None:
            raise PackageNotFoundError(name)
        return found

    content = tracks.encoded("ipod", "aac")
    monkeypatch.setattr(av_file, "version", version)
    av_file._checked.cache_clear()
    try:
        with pytest.raises(AudioError, match=r"'a\.m4a' is an MP4 file: .*the extra \[av\].*pip install \"av>=18\""):
            decode_bytes(content, "a.m4a", RATE)
    finally:
        av_file._checked.cache_clear()


# Pipes


def test_a_mended_file_has_the_samples_of_the_whole_one() -> None:
    sound = malformed.noise()
    for kind, piped in {
        "WAV": malformed_tracks.piped_wav(0x7FFFF024, 0x7FFFF000),
        "AIFF": malformed_tracks.piped_aiff(0, 0, 0),
        "FLAC": malformed_tracks.piped_flac(malformed.encoded("FLAC", "PCM_16")),
    }.items():
        wanted = decode_bytes(malformed.encoded(kind, "PCM_16", sound), "whole", malformed.RATE)
        np.testing.assert_array_equal(decode_bytes(piped, "piped", malformed.RATE), wanted)


@pytest.mark.parametrize(
    ("container", "codec"),
    [("wav", "pcm_s16le"), ("wav", "adpcm_ms"), ("aiff", "pcm_s16be"), ("au", "pcm_s16be"), ("w64", "pcm_s16le"),
     ("flac", "flac"), ("caf", "pcm_s16le")],
)  # fmt: skip
def test_what_ffmpeg_writes_into_a_pipe(container: str, codec: str) -> None:
    sound = tones()
    piped = tracks.encoded(container, codec, sound, piped=True)
    whole = tracks.encoded(container, codec, sound)
    found = decode_bytes(piped, "piped", RATE)
    np.testing.assert_array_equal(found, decode_bytes(whole, "whole", RATE))
    tolerance = 0.05 if codec == "adpcm_ms" else 1e-4
    np.testing.assert_allclose(found[100:RATE], sound.mean(1)[100:], atol=tolerance)


def test_rf64_from_a_pipe() -> None:
    piped = tracks.encoded("wav", "pcm_s16le", piped=True, options={"rf64": "always"})
    np.testing.assert_allclose(decode_bytes(piped, "piped", RATE), tones().mean(1), atol=1e-4)


def test_checksums_of_flac_by_hand() -> None:
    """The check values of CRC-8/SMBUS and CRC-16/UMTS in the catalogue of parametrised CRC algorithms."""
    assert pipes.flac_crc8(b"123456789") == 0xF4
    assert pipes.flac_crc16(b"123456789") == 0xFEE8


@pytest.mark.parametrize("samples", [1, 4_095, 4_096, 4_097, 600_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_flac_of_unknown_length_of_any_length(samples: int, channels: int) -> None:
    content = malformed.encoded("FLAC", "PCM_16", malformed.noise(samples, channels))
    piped = malformed_tracks.piped_flac(content)
    np.testing.assert_array_equal(decode_bytes(piped, "p", 16_000), decode_bytes(content, "w", 16_000))


# Remedies


def converted(content: bytes, options: dict[str, str]) -> bytes:
    """Do what `ffmpeg -i OLD NEW.wav` does."""
    out = io.BytesIO()
    with av.open(io.BytesIO(content), options=options) as old, av.open(out, "w", format="wav") as new:
        stream = new.add_stream_from_template(old.streams.audio[0])
        for packet in old.demux(old.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    return out.getvalue()


def test_the_remedy_for_a_wav_of_wrong_size_works() -> None:
    """The message says `ffmpeg -ignore_length 1 -i OLD NEW.wav`; another export into the pipe would give the same."""
    wav = malformed.encoded("WAV", "PCM_16")
    for riff, data in ((36 + 2 * 9_000, 2 * 9_000), (36 + 2 * 8_000, 2 * 4_000)):
        wrong = malformed.put(malformed.put(wav, 4, malformed.le32(riff)), 40, malformed.le32(data))
        with pytest.raises(AudioError, match=r"`ffmpeg -ignore_length 1 -i OLD NEW\.wav`"):
            decode_bytes(wrong, "a.wav", 16_000)
        mended = converted(wrong, {"ignore_length": "1"})
        np.testing.assert_array_equal(decode_bytes(mended, "b.wav", 16_000), decode_bytes(wav, "c.wav", 16_000))


def test_the_remedy_for_an_mp3_without_header_works() -> None:
    """The message says `ffmpeg -i OLD.mp3 -c copy NEW.mp3`."""
    old = malformed.mp3_of_two_bitrates()
    with pytest.raises(AudioError, match=r"`ffmpeg -i OLD\.mp3 -c copy NEW\.mp3`"):
        decode_bytes(old, "a.mp3", 44_100)
    out = io.BytesIO()
    with av.open(io.BytesIO(old)) as source, av.open(out, "w", format="mp3") as new:
        stream = new.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    assert len(decode_bytes(out.getvalue(), "b.mp3", 44_100)) == pytest.approx(3 * 16_000, abs=3 * 1_152)


def test_floats_of_integer_scale_are_saved_as_the_message_says(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", 20_000 * tones(), RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match="divide them by full scale"):
        decode(tmp_path / "a.wav", RATE)
    samples, _ = soundfile.read(tmp_path / "a.wav")
    soundfile.write(tmp_path / "b.wav", samples / 32_768, RATE, subtype="FLOAT")
    decode(tmp_path / "b.wav", RATE)


# Through the command line


@pytest.fixture
def phone(tmp_path: Path) -> Path:
    """Return a folder of two classes, with one recording of every kind in each of six sources."""
    for label, pitch in (("hum", 300.0), ("whistle", 1_500.0)):
        (tmp_path / "phone" / label).mkdir(parents=True)
        for i, (container, codec, ending, rate) in enumerate(
            [("ipod", "aac", "m4a", 44_100), ("webm", "libopus", "webm", 48_000), ("asf", "wmav2", "WMA", 44_100),
             ("3gp", "libopencore_amrnb", "3gp", 8_000), ("mp4", "aac", "mp4", 44_100),
             ("au", "pcm_s16be", "au", 8_000)]
        ):  # fmt: skip
            sound = tones(rate, hertz=(pitch + 10 * i, pitch + 10 * i + 3))[:, : 1 if rate == 8_000 else 2]
            content = tracks.encoded(container, codec, sound, rate, piped=ending == "au")
            (tmp_path / "phone" / label / f"{label}{i}.{ending}").write_bytes(content)
    return tmp_path / "phone"


Bench = Callable[..., tuple[int, str]]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Call the command line; returns exit code and output."""
    from typer.testing import CliRunner

    from bench.cli import app

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data-home"))

    def call(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(app, [str(each) for each in arguments], env={"COLUMNS": "400"})
        if result.exception and not isinstance(result.exception, SystemExit):
            return 1, result.output + str(result.exception)
        return result.exit_code, result.output

    return call


def test_a_folder_of_phone_recordings_is_verified(bench: Bench, phone: Path) -> None:
    code, output = bench("data", "verify", "folder", "--clips", phone)
    assert code == 0, output
    assert "12 clips" in output
    for container in ("MP4 AAC 4", "MATROSKA OPUS 2", "ASF WMAV2 2", "MP4 AMR_NB 2", "AU PCM_16 2"):
        assert container in output


def test_without_pyav_such_a_folder_is_a_problem_that_names_the_extra(
    bench: Bench, phone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(av_file, "version", version)
    av_file._checked.cache_clear()
    try:
        code, output = bench("data", "verify", "folder", "--clips", phone)
    finally:
        av_file._checked.cache_clear()
    assert code == 1
    assert "problem: 10 in all" in output
    assert output.count('needs PyAV, the extra [av]: pip install "av>=18"') == 10


def test_piped_files_are_verified_and_broken_ones_are_named(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "piped"
    for label in ("a", "b"):
        (folder / label).mkdir(parents=True)
        for i in range(5):
            sound = malformed.noise(8_000 + i + (100 if label == "b" else 0))
            wav = malformed.encoded("WAV", "PCM_16", sound)
            piped = malformed.put(malformed.put(wav, 4, malformed.le32(0x80000023)), 40, malformed.le32(0x7FFFFFFF))
            (folder / label / f"{label}{i}.wav").write_bytes(piped)
    assert bench("data", "verify", "folder", "--clips", folder)[0] == 0
    (folder / "a" / "a0.wav").write_bytes((folder / "a" / "a0.wav").read_bytes()[:-1])
    code, output = bench("data", "verify", "folder", "--clips", folder)
    assert code == 1
    assert "a0.wav" in output
    assert "is cut off" in output


def test_the_header_of_a_frame_by_hand() -> None:
    """Frame 5 of fixed blocks of 4,096 samples: FFF8, block code 12, 44.1 kHz, mono, 16 bits."""
    header = bytes([0xFF, 0xF8, 0xC9, 0x08, 0x05])
    frame = header + bytes([pipes.flac_crc8(header)]) + bytes(10)
    assert pipes._upto(frame, 4_096) == 6 * 4_096
    last = bytes([0xFF, 0xF8, 0x79, 0x08, 0xC4, 0x80]) + struct.pack(">H", 99)  # frame 256, of 100 samples
    assert pipes._upto(last + bytes([pipes.flac_crc8(last)]) + bytes(8), 4_096) == 256 * 4_096 + 100


def test_no_part_of_a_file_is_asked_for_that_is_larger_than_a_mebibyte() -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(800), 8_000, format="WAV", subtype="ULAW")
    content = buffer.getvalue() + bytes(5 << 20)  # the sizes agree with each other, and not with the file
    lengths = []

    def read(place: int, length: int) -> bytes:
        lengths.append(length)
        return content[place : place + length]

    pipes.mended(read, len(content))
    assert max(lengths) <= 1 << 20
    assert sum(lengths) > 5 << 20
