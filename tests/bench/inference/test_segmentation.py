"""Time lines of recordings: segments where the sounds change, limited memory, files and pictures."""

import csv
import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from torch import Tensor, nn

from bench.errors import RunError, SuiteError
from bench.inference import segment_files, segment_plot
from bench.inference.classifier import Classifier
from bench.inference.columns import MAX_COLUMNS, Columns
from bench.inference.segmentation import Segmentation, segment, segment_blocks
from bench.inference.segments import Segment, Smoothing
from datamodules.audio import AudioError

RATE = 8_000


class Loudness(nn.Module):
    """Says "loud" for clips whose mean square is above 0.01, else "quiet"."""

    def forward(self, x: Tensor) -> Tensor:
        level = (x.square().mean(1, keepdim=True) - 0.01) * 1_000
        return torch.cat([level, -level], 1)


def classifier(task: Any = "single", classes: tuple[str, ...] = ("loud", "quiet"), **others: Any) -> Classifier:
    return Classifier(
        name="loudness", module=Loudness(), classes=classes, task=task, sample_rate=RATE, clip_shape=(RATE // 5,),
        clip_seconds=0.2, **others,
    )  # fmt: skip


def sound(*levels: float) -> np.ndarray:
    """Return noise of these levels, a second each."""
    rng = np.random.default_rng(0)
    return np.concatenate([level * rng.standard_normal(RATE) for level in levels]).astype(np.float32)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "my recording.wav"
    soundfile.write(path, sound(0.01, 0.01, 0.3, 0.3, 0.01, 0.3), RATE, subtype="PCM_16")
    return path


def test_segments_are_where_the_sound_changes(recording: Path) -> None:
    seen: list[int] = []
    found = segment(classifier(), recording, observer=lambda frames, p: seen.append(len(frames)), report=seen.append)
    assert found.way == "windows"
    assert found.seconds == 6
    assert [found.classes[each.label] for each in found.segments] == ["quiet", "loud", "quiet", "loud"]
    np.testing.assert_allclose([each.end for each in found.segments], [2, 4, 5, 6], atol=0.1)
    assert [each.start for each in found.segments][1:] == [each.end for each in found.segments][:-1]
    assert sum(seen) > 290  # windows every 20 ms


def test_several_labels(recording: Path) -> None:
    found = segment(classifier("multi"), recording)
    assert {each.label for each in found.segments} == {0, 1}
    assert len(found.segments) == 4


def test_preparation_of_the_training_data_is_done(recording: Path) -> None:
    found = segment(classifier(prepare=lambda waveform, rate: 100 * waveform), recording)
    assert [(each.start, each.end, each.label) for each in found.segments] == [(0, 6, 0)]


def test_what_cannot_be_decoded_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "no.wav").write_text("no sound")
    with pytest.raises(AudioError, match=r"no\.wav"):
        segment(classifier(), tmp_path / "no.wav")


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length() -> None:
    def blocks(seconds: int) -> Any:
        part = sound(0.01)
        for _ in range(seconds):
            yield part

    def peak(seconds: int) -> int:
        tracemalloc.start()
        segment_blocks(classifier(), blocks(seconds), "long", picture=True, hop_seconds=0.2)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(5)
    assert peak(600) < 2 * peak(60) + 2_000_000


def test_columns_merge_and_keep_extremes_and_means() -> None:
    values = np.random.default_rng(0).random((2, 50_001)).astype(np.float32)
    highest, mean = Columns(lambda x: x.max(2), 2), Columns(lambda x: x.mean(2), 2)
    for part in np.array_split(values, 77, axis=1):
        highest.push(part)
        mean.push(part)
    assert highest.step == 16
    found = highest.finish()
    assert MAX_COLUMNS <= found.shape[1] <= 2 * MAX_COLUMNS
    expected = [values[:, at : at + 16].max(1) for at in range(0, 50_001, 16)]
    np.testing.assert_array_equal(found.T, expected)
    means = [values[:, at : at + 16].mean(1) for at in range(0, 50_001, 16)]
    np.testing.assert_allclose(mean.finish().T, means, rtol=1e-5)


def made(classes: tuple[str, ...] = ("loud noise", "=1+1"), **others: Any) -> Segmentation:
    segments = (
        Segment(start=0.0, end=1.5, label=0, probability=0.9), Segment(start=1.5, end=2.25, label=1, probability=0.75)
    )  # fmt: skip
    return Segmentation(**{
        "file": "my recording.wav", "seconds": 2.25, "model": "loudness", "classes": classes, "task": "single",
        "way": "windows", "frame_seconds": 0.02, "smoothing": Smoothing(), "segments": segments, **others,
    })  # fmt: skip


def test_csv() -> None:
    rows = list(csv.DictReader(io.StringIO(segment_files.as_csv(made()))))
    assert rows[0] == {"start": "0.000", "end": "1.500", "class": "loud noise", "probability": "0.9000"}
    assert rows[1]["class"] == "'=1+1"  # no formula for a spreadsheet


def test_json() -> None:
    content = json.loads(segment_files.as_json(made()))
    assert content["segments"][1] == {"start": 1.5, "end": 2.25, "class": "=1+1", "probability": 0.75}
    assert content["smoothing"]["median_seconds"] == 0.3


def test_audacity_labels() -> None:
    assert segment_files.as_audacity(made(("a\tb", "c"))) == "0.000000\t1.500000\ta b\n1.500000\t2.250000\tc\n"


def test_rttm() -> None:
    assert segment_files.as_rttm(made()).splitlines()[0] == (
        "SPEAKER my_recording 1 0.000 1.500 <NA> <NA> loud_noise <NA> <NA>"
    )


def test_a_very_short_segment_has_a_length() -> None:
    short = Segment(start=0.0, end=1 / 20_000, label=0, probability=1.0)
    found = made(segments=(short,))
    assert segment_files.as_csv(found).splitlines()[1].startswith("0.000000,0.000050,")
    assert "1 0.000000 0.000050 <NA>" in segment_files.as_rttm(found)


def test_formats_by_ending(tmp_path: Path) -> None:
    assert segment_files.format_of(Path("x.TXT")) == "audacity"
    with pytest.raises(SuiteError, match=r"says no format: use \.csv \(csv\)"):
        segment_files.format_of(Path("x.doc"))
    segment_files.write(made(), tmp_path / "x.dat", "rttm")
    assert (tmp_path / "x.dat").read_text().startswith("SPEAKER")


@pytest.mark.slow
@pytest.mark.parametrize("task", ["single", "multi"])
def test_the_picture(task: str, recording: Path, tmp_path: Path) -> None:
    model = classifier(task, ("$loud_noise$", "quiet <b>"))
    found = segment(model, recording, picture=True)
    assert found.picture is not None
    assert found.picture.seconds == 6
    assert found.picture.mel.columns.shape == (64, 300)
    segment_files.write(found, tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as image:
        assert image.size[0] == 1100
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 24)}
    assert {(0x00, 0x72, 0xB2), (0xE6, 0x9F, 0x00)} <= colours
    segment_files.write(found, tmp_path / "x.svg")
    assert (tmp_path / "x.svg").read_bytes().startswith(b"<?xml")
    drawn = segment_plot.figure(found)
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == ["$loud_noise$", "quiet <b>"]


def test_no_picture_without_what_it_is_drawn_of() -> None:
    with pytest.raises(RunError, match="segment the recording with picture=True"):
        segment_plot.figure(made())


def test_many_classes_differ_in_colour_or_pattern() -> None:
    styles = [segment_plot._style(place) for place in range(segment_plot.MAX_CLASSES)]
    assert len({(style["facecolor"], style["hatch"]) for style in styles}) == segment_plot.MAX_CLASSES == 32
