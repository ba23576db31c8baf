"""A run's report: what is in it, where it is read from, and how a run is found."""

import json
from pathlib import Path

import numpy as np
import pytest
from fakes import calls
from fakes.boards import failure, record, run, timing

from bench.errors import BenchError
from bench.leaderboard.report import find_record, hardest, run_report
from bench.records import Failure, Record, Store, artifacts

CLASSES = ("rain", "sea", "dog")


def written(folder: Path, *records: Record) -> Store:
    store = Store(folder)
    for each in records:
        store.write(each)
    return store


def with_logits(store: Store, one: Record, logits, targets) -> None:
    folder = store.artifacts(one.key)
    folder.mkdir(parents=True)
    names = np.array([f"clip{i}" for i in range(len(logits))])
    np.savez(folder / artifacts.LOGITS, logits=np.array(logits, np.float32), targets=np.array(targets), test_ids=names)


def test_the_hardest_clips_are_the_misclassified_ones_of_the_highest_loss(tmp_path):
    one = record(run(), classes=CLASSES)
    store = written(tmp_path, one)
    with_logits(store, one, [[5, 0, 0], [9, 0, 0], [2, 0, 0], [0, 0, 1]], [0, 1, 1, 2])
    found, _ = hardest(store, one)
    assert [each.id for each in found] == ["clip1", "clip2"]  # the other two are right
    assert found[0].loss == pytest.approx(np.log(np.exp(9) + 2), abs=1e-5)
    assert found[0].certainty == pytest.approx(1 / (np.exp(9) + 2))
    assert found[0].truth == "sea"
    assert found[0].predicted.startswith("rain 100 %, ")


def test_with_several_labels_the_loss_is_the_mean_over_them(tmp_path):
    one = record(run(dataset="synthetic-tags"), scores={"mAP": 0.5}, classes=CLASSES)
    store = written(tmp_path, one)
    with_logits(store, one, [[3.0, -3.0, 0.0], [-3.0, 3.0, 0.0]], [[1, 0, 0], [1, 0, 1]])
    (first, second), _ = hardest(store, one)
    assert (first.id, first.truth, first.certainty) == ("clip1", "rain, dog", None)
    assert first.loss == pytest.approx((np.log1p(np.exp(3)) * 2 + np.log(2)) / 3, abs=1e-6)
    assert second.predicted.startswith("rain 95 %, dog 50 %")


def test_damaged_logits_are_named(tmp_path):
    one = record(run(), classes=CLASSES)
    store = written(tmp_path, one)
    with_logits(store, one, [[5, 0, 0]], [1])
    path = store.artifacts(one.key) / artifacts.LOGITS
    assert hardest(store, one)[1] == ""
    path.write_bytes(b"no archive")
    found, damage = hardest(store, one)
    assert found == ()
    assert damage.startswith(f"{path} is damaged (")
    assert damage.endswith(
        f": restore it, or repeat the suite's `bench run --suite ...` with --key {one.key} and --force"
    )
    code, output, error = calls.bench("show", one.key, "--store", tmp_path)
    assert code == 1
    assert "To repeat it" in output
    assert f"error: the hardest clips are not read: {path} is damaged" in error
    np.savez(path, other=np.zeros(1))
    assert hardest(store, one)[1].startswith(f"{path} is damaged ('logits'")


def test_the_kept_clips_stand_in_for_logits(tmp_path):
    one = record(run(), classes=CLASSES)
    store = written(tmp_path, one)
    store.artifacts(one.key).mkdir(parents=True)
    np.savez(
        store.artifacts(one.key) / artifacts.HARDEST,
        ids=np.array(["a", "b"]), truth=np.array(["rain", "sea"]), predicted=np.array(["sea 90 %", "dog 60 %"]),
        loss=np.array([2.5, 0.9]),
    )  # fmt: skip
    assert [(each.id, each.predicted, each.loss) for each in hardest(store, one)[0]] == [
        ("a", "sea 90 %", 2.5),
        ("b", "dog 60 %", pytest.approx(0.9)),
    ]


def test_published_clips_stand_in_for_both():
    store, one = find_record(Store(Path("leaderboards")), "synthetic-mfcc-deltas-snn-f0")  # without logits
    found, _ = hardest(store, one)
    assert found[0].truth == "bell"
    assert found[0].predicted == "dog"
    assert found[0].loss is None
    certainties = [each.certainty for each in found]
    assert certainties == sorted(certainties)
    assert len(found) == sum(n for i, row in enumerate(one.confusion) for j, n in enumerate(row) if i != j)


def test_a_run_is_found_by_a_part_of_its_key(tmp_path):
    one, other = record(run("cnn")), record(run("fc"))
    store = written(tmp_path, one, other)
    assert find_record(store, one.key)[1] == one
    assert find_record(store, "logmel-fc")[1] == other
    assert find_record(store, other.key[-8:])[1] == other
    with pytest.raises(BenchError, match=r"2 runs in .* are called 'esc10'"):
        find_record(store, "esc10")
    for key in ("nothing", "", "../x", "/etc/passwd"):
        with pytest.raises(BenchError, match=r"there is no record|are called"):
            find_record(store, key)


def test_the_published_store_is_looked_into_after_the_default_one_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = record(run())
    written(Path("leaderboards"), one)
    store, found = find_record(Store(Path("runs")), one.key)
    assert (store.root, found) == (Path("leaderboards"), one)
    with pytest.raises(BenchError, match="no record"):
        find_record(Store(Path("others")), one.key)


def test_a_report_has_settings_caveats_and_commands(tmp_path):
    one = record(
        run(arguments={"channels": [1, 2]}), 0.3, classes=CLASSES, curves={"val_accuracy": (0.3,)}, best_epoch=0,
        latencies=(timing(spread=0.9),),
    )  # fmt: skip
    report = run_report(written(tmp_path, one), one)
    assert dict(report.settings)["Model"] == "cnn (channels=[1, 2])"
    assert dict(report.facts)["Tested epoch"] == "1 of 1"
    assert [caveat.kind for caveat, _ in report.caveats] == ["chance", "training", "timing"]
    assert report.caveats[2][1] == "bench run --suite SUITE --time-again measures it again"
    assert report.commands == (("To repeat it", f"bench reproduce {one.key} --store {tmp_path}"),)
    weights = tmp_path / "artifacts" / one.key / "weights.safetensors"
    weights.parent.mkdir(parents=True)
    weights.touch()
    report = run_report(Store(tmp_path), one)
    assert report.commands[1] == ("To use it", f"bench predict --run {one.key} --store {tmp_path} FILES")


def test_a_class_next_to_a_suite_is_used_by_its_suite(tmp_path):
    one = record(run("net:Net"), classes=CLASSES)
    store = written(tmp_path, one)
    store.artifacts(one.key).mkdir(parents=True)
    (store.artifacts(one.key) / "weights.safetensors").touch()
    commands = dict(run_report(store, one).commands)
    assert commands["To use it"] == f"bench predict --run FILE.toml:SYSTEM@f0-s0 --store {tmp_path} FILES"


def test_a_failed_run_has_its_error_and_the_command_that_tries_again(tmp_path):
    one = failure(run())
    report = run_report(written(tmp_path, one), one)
    assert report.record.error == Failure(kind="RunError", message="loss is nan")
    assert report.commands == (("To try it again", f"bench run --suite SUITE --key {one.key} --store {tmp_path}"),)
    assert report.classes is None
    assert report.hardest == ()


def test_every_published_record_has_a_report():
    store = Store(Path("leaderboards"))
    keys = [path.stem for path in sorted(Path("leaderboards/records").glob("*.json"))]
    from bench.leaderboard.render import run_page

    for key in keys[::12]:
        report = run_report(*find_record(store, key))
        assert json.loads(json.dumps(run_page.run_json(report), allow_nan=False))["key"] == key
        assert run_page.run_html(report).count("<h2>") >= 3
