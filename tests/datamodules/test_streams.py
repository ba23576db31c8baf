"""Streams: joining sounds, frames and segments, and the datasets that are made of them."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from fakes import musan

from bench.training.build import check
from datamodules.base import AudioDataModule, DataError
from datamodules.clips.timeline import (
    UNLABELLED,
    Segment,
    Streams,
    frames_of,
    joined,
    segments_of,
    segments_within,
)
from datamodules.folder import Folder
from datamodules.musan_streams import MUSANStreams
from datamodules.synthetic_streams import CLASSES, SyntheticStreams, programme

BRIEF: dict[str, Any] = {
    "sample_rate": 8_000, "stream_seconds": 30.0, "train_streams": 2, "val_streams": 1, "test_streams": 2,
}  # fmt: skip


# Segments and frames


def test_a_frame_has_the_class_at_its_centre() -> None:
    segments = (Segment(0.0, 0.25, 1), Segment(0.25, 0.5, 0), Segment(0.75, 1.0, 2))
    # frames of 0.1 s are centred on 0.05, 0.15, 0.25, ..., and a segment does not include its end
    assert frames_of(segments, 1.0, 10).tolist() == [1, 1, 0, 0, 0, UNLABELLED, UNLABELLED, 2, 2, 2]
    assert len(frames_of(segments, 0.56, 10)) == 6
    assert len(frames_of(segments, 0.54, 10)) == 5


def test_segments_are_the_runs_of_frames() -> None:
    labels = np.array([0, 0, 1, UNLABELLED, UNLABELLED, 2])
    assert segments_of(labels, 10) == (Segment(0.0, 0.2, 0), Segment(0.2, 0.3, 1), Segment(0.5, 0.6, 2))
    segments = (Segment(0.0, 1.25, 1), Segment(1.25, 2.0, 0))
    assert segments_of(frames_of(segments, 2.0, 100), 100) == segments


def test_a_boundary_lies_in_the_middle_of_the_cross_fade() -> None:
    pieces = [np.full(1_000, 1.0), np.full(500, -1.0), np.full(800, 1.0)]
    sound, segments = joined(pieces, [0, 1, 1], 100, 1_000)
    assert len(sound) == 1_000 + 400 + 700
    assert segments == (Segment(0.0, 0.95, 0), Segment(0.95, 2.1, 1))  # neighbours of one class are one
    assert abs(sound[949] + sound[950]) < 1e-9  # both are equally loud there
    assert sound[899] == 1.0
    assert sound[1_000] == -1.0
    rng = np.random.default_rng(0)
    noise, _ = joined([rng.standard_normal(40_000) for _ in range(2)], [0, 1], 20_000, 1_000)
    assert np.std(noise[20_000:40_000]) == pytest.approx(1, abs=0.03)  # its power stays


def test_hard_cuts_and_too_short_pieces() -> None:
    sound, segments = joined([np.ones(3), np.zeros(2)], [0, 1], 0, 10)
    assert sound.tolist() == [1, 1, 1, 0, 0]
    assert segments == (Segment(0.0, 0.3, 0), Segment(0.3, 0.5, 1))
    with pytest.raises(DataError, match="shorter than two cross-fades"):
        joined([np.ones(10), np.ones(30)], [0, 1], 8, 10)


def test_a_stream_has_one_class_at_a_time() -> None:
    def stream(*segments: Segment) -> Streams:
        return Streams(np.zeros(10, np.int16), ((0, 10),), ("s",), ("s",), ("h",), (segments,), 10)

    with pytest.raises(DataError, match=r"'s': the segments from 0 to 0.5 s and from 0.4 to 1 s overlap"):
        stream(Segment(0, 0.5, 0), Segment(0.4, 1, 1))
    with pytest.raises(DataError, match="has no length"):
        stream(Segment(0.5, 0.5, 0))
    touching = Segment(0, 0.2, 0), Segment(0.2, 0.5, 0), Segment(0.5, 0.7, 1), Segment(0.8, 0.9, 1), Segment(0.9, 1, 1)
    assert stream(*touching).segments == ((Segment(0, 0.5, 0), Segment(0.5, 0.7, 1), Segment(0.8, 1, 1)),)
    assert stream(Segment(0, 0.5, 0)).digest() != stream(Segment(0, 0.6, 0)).digest()
    with pytest.raises(DataError, match=r"lasts 1.00 s, and a segment is from 2 to 3 s"):
        segments_within([Segment(2, 3, 0)], 1.0, "s")


# Datasets


def check_clips(data: AudioDataModule, margin: float) -> None:
    """Check that every clip lies inside a segment of its class."""
    assert data.streams is not None
    assert data.sample_rate is not None
    known = {name: data.streams.test.segments[i] for i, name in enumerate(data.streams.test.ids)}
    test = data.splits.test
    for clip, target in zip(test.ids, test.targets.tolist(), strict=True):
        stream, _, place = clip.partition("[")
        start, end = (int(each) / data.sample_rate for each in place.removesuffix("]").split(":"))
        (inside,) = [each for each in known[stream] if each.start - 1e-6 <= start and end <= each.end + 1e-6]
        assert inside.label == target
        assert start == 0 or inside.start == 0 or start >= inside.start + margin - 1e-4


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> SyntheticStreams:
    data = SyntheticStreams(cache=tmp_path_factory.mktemp("cache"), **BRIEF)
    data.setup()
    return data


def test_synthetic_streams_fill_their_length_with_classes_in_turn(synthetic: SyntheticStreams) -> None:
    streams = synthetic.streams
    assert streams is not None
    assert (len(streams.val), len(streams.test)) == (1, 2)
    for part in (streams.val, streams.test):
        for place, segments in enumerate(part.segments):
            assert part.seconds(place) == 30.0
            assert (segments[0].start, segments[-1].end) == (0.0, 30.0)
            assert all(a.end == b.start and a.label != b.label for a, b in pairwise(segments))
            assert all(1.4 < each.end - each.start < 10.1 for each in segments)
            assert (part.frames(place, 100) != UNLABELLED).all()
    assert set(synthetic.splits.train.groups) == {"train-1", "train-2"}
    assert not {*synthetic.splits.train.groups} & {*streams.val.ids, *streams.test.ids}
    check_clips(synthetic, synthetic.fade_seconds / 2)
    assert "2/1/2" in synthetic.note


def test_clips_are_the_samples_of_their_stream(synthetic: SyntheticStreams) -> None:
    assert synthetic.streams is not None
    test = synthetic.splits.test
    stream, _, place = test.ids[-1].partition("[")
    start = int(place.split(":")[0])
    whole = synthetic.streams.test.load(synthetic.streams.test.ids.index(stream))
    torch.testing.assert_close(test.load([len(test) - 1])[0], torch.from_numpy(whole[start : start + 16_000]))


@pytest.mark.slow
def test_synthetic_streams_are_the_same_again_and_others_with_another_seed(synthetic: SyntheticStreams) -> None:
    again = SyntheticStreams(seed=1, **BRIEF)  # without a cache
    again.setup()
    assert again.manifest() == synthetic.manifest()
    other = SyntheticStreams(data_seed=1, **BRIEF)
    other.setup()
    assert other.manifest() != synthetic.manifest()


def test_the_manifest_covers_boundaries(synthetic: SyntheticStreams, monkeypatch: pytest.MonkeyPatch) -> None:
    before, streams = synthetic.manifest(), synthetic.streams
    assert streams is not None
    monkeypatch.setattr(synthetic, "streams", type(streams)(streams.test, streams.val))
    assert synthetic.manifest() != before


@pytest.mark.parametrize("label", CLASSES)
def test_programmes_sound(label: str) -> None:
    for seed in range(3):
        sound = programme(label, np.random.default_rng(seed), np.arange(16_000) / 8_000)
        assert np.isfinite(sound).all()
        assert np.std(sound) > 0.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"test_streams": 1}, "test_streams ≥ 2"),
        ({"sample_rate": 4_000}, "sample_rate ≥ 8000"),
        ({"clip_seconds": 6.0}, r"clip_seconds of 0.25 to 5"),
        ({"stream_seconds": 20.0}, "stream_seconds ≥ 30"),
    ],
)
def test_synthetic_streams_refuse_what_cannot_be_made(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        SyntheticStreams(**arguments)


@pytest.mark.slow
def test_musan_streams_have_sources_of_their_own(tmp_path: Path) -> None:
    root = musan.write(tmp_path / "data")
    data = MUSANStreams(root, sample_rate=8_000, clip_seconds=0.5, train_streams=4, val_streams=2, test_streams=8)
    data.setup()
    assert data.classes == ("music", "speech", "noise")
    assert data.streams is not None
    sources = [set(part.groups) for part in (data.splits.train, data.splits.val, data.splits.test)]
    assert not sources[0] & sources[1]
    assert not sources[0] & sources[2]
    assert not sources[1] & sources[2]
    assert "Cullah".casefold() in {*sources[0], *sources[1], *sources[2]}  # an artist is a source
    test = data.streams.test
    assert 2 <= len(test) <= 8
    assert sum(map(len, test.segments)) <= 9  # a file has one excerpt: a quarter of 30 files
    for segments in test.segments:
        assert all(a.end == b.start and a.label != b.label for a, b in pairwise(segments))
    check_clips(data, data.fade_seconds / 2)
    again = MUSANStreams(root, sample_rate=8_000, clip_seconds=0.5, train_streams=4, val_streams=2, test_streams=8)
    again.setup()
    assert again.manifest() == data.manifest()


# Own tables of segments


def own(folder: Path, rows: list[str], files: int = 6, header: str = "path,start,end,label") -> Path:
    rng = np.random.default_rng(0)
    for place in range(files):
        soundfile.write(folder / f"r{place}.wav", 0.1 * rng.standard_normal(6 * 8_000), 8_000)
    (folder / "t.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder / "t.csv"


def rows(files: int = 6) -> list[str]:
    return [
        f"r{place}.wav,{times}"
        for place in range(files)
        for times in ("2.5,4,rain", "0,2.5,cat", "4.5,6.2,cat")  # in any order; 0.2 s longer than the file
    ]


ARGUMENTS: dict[str, Any] = {"sample_rate": 8_000, "clip_seconds": 0.5, "segments": True}


def test_rows_with_times_are_segments_of_streams(tmp_path: Path) -> None:
    data = Folder(csv=own(tmp_path, rows()), **ARGUMENTS)
    data.setup()
    assert (data.task, data.classes) == ("single", ("cat", "rain"))
    assert data.streams is not None
    assert data.streams.test.segments[0] == (Segment(0.0, 2.5, 0), Segment(2.5, 4.0, 1), Segment(4.5, 6.0, 0))
    names = [set(data.streams.val.ids), set(data.streams.test.ids)]
    assert not names[0] & names[1]
    assert len(data.splits.test) == 19 * len(data.streams.test)  # 9 + 5 + 5 clips that overlap by half
    check_clips(data, 0.0)


def test_the_columns_of_times_may_have_other_names(tmp_path: Path) -> None:
    table = own(tmp_path, rows(), header="path,onset,offset,label")
    with pytest.raises(DataError, match=r'columns = \{start = "onset", end = "offset"\}'):
        Folder(csv=table, **ARGUMENTS)
    data = Folder(csv=table, columns={"start": "onset", "end": "offset"}, **ARGUMENTS)
    data.setup()
    assert data.streams is not None


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("r0.wav,1,2,rain", r"'r0.wav': the segments from 0 to 2.5 s and from 1 to 2 s overlap"),
        ("r0.wav,5,x,rain", r"'t.csv' line 20: the segment is from '5' to 'x'"),
        ("r0.wav,5,4,rain", r"line 20: the segment is from '5' to '4'"),
        ("r0.wav,5,nan,rain", r"line 20: the segment is from '5' to 'nan'"),
        ("r0.wav,7,8,rain", r"'r0.wav' lasts 6.00 s, and a segment is from 7 to 8 s"),
        ("r0.wav,4,4.2,rare", r"no segment of 'rare' that holds a clip of 0.5 s|no training clip has 'rare'"),
    ],
)
def test_wrong_times_are_named(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Folder(csv=own(tmp_path, [*rows(), row]), **ARGUMENTS).setup()


def test_columns_of_times_are_used_only_where_they_are_asked_for(tmp_path: Path) -> None:
    once = [f"r{place}.wav,0,2,{'cat' if place % 2 else 'rain'}" for place in range(10)]
    data = Folder(csv=own(tmp_path, once, 10), sample_rate=8_000)  # such as UrbanSound8K's, of other recordings
    data.setup()
    assert data.streams is None
    table = own(tmp_path, rows())
    with pytest.raises(DataError, match="set segments = true if each row is a segment"):
        Folder(csv=table, sample_rate=8_000).setup()
    with pytest.raises(DataError, match="segments needs clip_seconds"):
        Folder(csv=table, segments=True)
    with pytest.raises(DataError, match="segments has one class for each row"):
        Folder(csv=table, row_per_label=True, **ARGUMENTS)
    with pytest.raises(DataError, match="segments is for a table"):
        Folder(root=tmp_path, **ARGUMENTS)


def test_the_suite_of_streams_is_valid() -> None:
    from bench import suites

    for run in suites.read("segmentation").runs():
        check(run)
