"""Facts on datasets that a reader of scores should know: in `bench data status`, notes, records and pages."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import urbansound8k, vggsound
from fakes.paths import PROJECT
from typer.testing import CliRunner

from bench.cli import app
from bench.evaluation.second_labels import with_second_labels
from bench.records import Record, Run, Store
from datamodules.base import DataError
from datamodules.tables import vggsounder

HEADER = "video_id,label,modality,background_music,static_image,voice_over"

Bench = Callable[..., tuple[int, str]]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Call the command line; returns exit code and standard output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "manifests"))

    def call(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(app, [str(each) for each in arguments], env={"COLUMNS": "400"})
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        return result.exit_code, result.stdout

    return call


def package(folder: Path, rows: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a package `vggsounder` with these rows on the path, for this process and those that it starts."""
    (folder / "vggsounder" / "data").mkdir(parents=True)
    (folder / "vggsounder" / "__init__.py").write_text("raise RuntimeError('its code is not run')")
    (folder / "vggsounder" / vggsounder.TABLE).write_text("\n".join([HEADER, *rows]) + "\n")
    (folder / "vggsounder-1.0.dist-info").mkdir()
    (folder / "vggsounder-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: vggsounder\nVersion: 1.0\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{PROJECT}")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("urbansound8k", ["five recordings (77751, 106905, 132016, 176638, 180937; 152 slices)", "two labels"]),
        ("vggsound", ["595 test videos have two clips", '"playing timpani" and "playing tympani"', "VGGSounder"]),
    ],
)
def test_the_status_tells_them_whether_the_data_are_here_or_not(
    bench: Bench, tmp_path: Path, name: str, words: list[str]
) -> None:
    _, said = bench("data", "status", "--data-dir", tmp_path)
    _, found = bench("data", "status", name, "--data-dir", tmp_path, "--json")
    for each in words:
        assert each in said
        assert each in " ".join(json.loads(found)[name]["facts"])


@pytest.mark.slow
def test_torn_recordings_are_in_the_notes(bench: Bench, tmp_path: Path) -> None:
    urbansound8k.write(tmp_path / "data" / "urbansound8k")
    code, found = bench("data", "verify", "urbansound8k", "--data-dir", tmp_path / "data", "--json")
    assert code == 0
    for note in json.loads(found)["notes"]:
        assert "1 recordings (2 clips) stand in several official folds, 1 of them under several labels: 77751" in note


@pytest.mark.slow
def test_videos_of_two_clips_and_two_classes_of_one_instrument_are_in_the_notes(bench: Bench, tmp_path: Path) -> None:
    root = vggsound.write(tmp_path / "data" / "vggsound")
    for path in (root / "vggsound.csv", root / "data" / "stat.csv"):
        text = (
            path.read_text().replace("playing sitar", "playing timpani").replace("ambulance siren", "playing tympani")
        )
        path.write_text(text)
    code, found = bench("data", "verify", "vggsound", "--data-dir", tmp_path / "data", "--json")
    (note,) = json.loads(found)["notes"]
    assert code == 0
    assert "5 of the 6 test videos have several clips, 10 of the 11 test clips: intervals are drawn over videos" in note
    assert "'playing timpani' and 'playing tympani' are two classes and one instrument" in note
    assert "VGGSounder" not in note


def run_of(dataset: str) -> Run:
    return Run(model="cnn", frontend="logmel", dataset=dataset, fold=0, seed=0)


def test_second_scores_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = ["a_000000,cat,A,False,False,False", 'a_000000,"rain, heavy",AV,False,False,False',
            "b_000000,dog,V,True,False,False", "b_000000,cat,AV,True,False,False",
            "c_000000,dog,V,False,False,False", "e_000000,dog,A,False,False,False"]  # fmt: skip
    package(tmp_path / "site", rows, monkeypatch)
    record = Record(
        run=run_of("vggsound"), status="ok", scores={"accuracy": 0.5}, classes=("cat", "dog", "rain, heavy")
    )
    logits = np.array([[0, 1, 3], [0, 2, 1], [0, 9, 0], [5, 0, 0]], np.float32)
    scored = with_second_labels(record, logits, ["a_000000", "b_000000", "c_000000", "d_000000"])
    # a: rain is among its labels; b: dog is only seen; c has no audible label, d no label
    assert scored.scores["vggsounder_hit"] == 0.5
    # cat: both positive, 1; rain: a before b, 1; dog: no clip
    assert scored.scores["vggsounder_mAP"] == 1.0
    assert scored.defined["vggsounder_mAP"] == (2, 3)
    assert scored.scores["accuracy"] == 0.5
    other = Record(run=run_of("esc50"), status="ok", classes=record.classes)
    assert with_second_labels(other, logits, ["a_000000"] * 4) is other


def test_without_the_package_there_are_no_second_scores() -> None:
    if vggsounder.installed() is not None:
        pytest.skip("vggsounder is installed")
    record = Record(run=run_of("vggsound"), status="ok", classes=("a", "b"))
    assert with_second_labels(record, np.zeros((1, 2), np.float32), ["a_000000"]) is record


def test_a_package_of_another_layout_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path / "a", ["a_000000,cat,loud,False,False,False"], monkeypatch)
    with pytest.raises(DataError, match="line 2: modality 'loud'"):
        vggsounder.installed()
    (tmp_path / "a" / "vggsounder" / vggsounder.TABLE).unlink()
    with pytest.raises(DataError, match=r"has no data.*: install release 1\.0 of it"):
        vggsounder.installed()


@pytest.mark.process
@pytest.mark.slow
def test_a_run_has_both_evaluations_and_its_page_shows_them(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vggsound.write(tmp_path / "data" / "vggsound")
    ids = [f"{vggsound.video(i // 2, 'w')}_{30 + 40 * (i % 2):06d}" for i in range(12)]
    labels = list(vggsound.CLASSES)
    rows = [f'{name},"{label}",AV,False,False,False' for name in ids[:8] for label in labels]
    package(tmp_path / "site", rows, monkeypatch)
    (tmp_path / "s.toml").write_text(
        'models = ["fc"]\ndatasets = ["vggsound"]\n[dataset.vggsound]\nclip_seconds = 1.0\n[recipe]\nepochs = 1\n'
    )
    code, output = bench("run", "--suite", "s.toml", "--data-dir", "data", "--device", "cpu")
    assert code == 0, output
    store = Store(tmp_path / "runs")
    (record,) = (store.get(key) for key in store.keys())  # noqa: SIM118 - it is no mapping
    assert record is not None
    found: dict[str, Any] = dict(record.scores)
    assert found["vggsounder_hit"] == 1.0  # every class is among the labels
    assert found["vggsounder_mAP"] == 1.0
    assert 0 <= found["accuracy"] <= 1
    assert record.data is not None
    assert "VGGSounder 1.0 has audible labels of 8 of the 11 test clips" in record.data.note
    page = (tmp_path / "runs" / "s.md").read_text()
    for words in ("vggsounder_hit", "among VGGSounder's audible labels", "have several clips"):
        assert words in page
    code, output = bench("rescore", "--suite", "s.toml")
    assert code == 0, output
    again = store.get(record.key)
    assert again is not None
    assert again.scores == record.scores
