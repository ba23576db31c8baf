"""The whole line on a few seconds of made-up sound: what is done, what fails, what is kept, what is drawn."""

import errno
import hashlib
import io
import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
import soundfile
from fakes import forkservers, urbansound8k
from fakes.calls import bench
from rich.console import Console

from bench import suites
from bench.cli import main
from bench.errors import RunError
from bench.records import Failure, Record, Snapshot, Store
from bench.runner import driver, worker
from bench.runner.driver import Runner
from bench.runner.executors import Failed, Finished, Reported
from bench.runner.news import DataRead, TimingEnded, TimingStarted
from bench.runner.progress import Progress
from bench.runner.settings import RunSettings
from bench.suites import suite as suite_module

pytestmark = pytest.mark.process

SMALL = """
models = ["fc", "cnn", "fusion-ds"]
datasets = ["synthetic"]
[recipe]
epochs = 2
[dataset.synthetic]
clips_per_class = 10
clip_seconds = 0.5
"""
BENCH = [sys.executable, "-c", forkservers.BENCH]


def write(path, text=SMALL):
    path.write_text(text)
    return suites.read(str(path))


def run(suite, folder, data_dir=Path("nowhere"), executor="serial", force=False, **narrow):
    console = Console(file=io.StringIO(), width=200)
    settings = RunSettings(store=folder, data_dir=data_dir, device="cpu", workers=2)
    runs = suites.select(suite.runs(), **narrow) if narrow else suite.runs()
    outcome = Runner(suite, settings, Progress(console), executor).run(runs, force)
    return outcome, console.file.getvalue()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    suite = write(folder / "small.toml")
    outcome, text = run(suite, folder / "runs", executor="processes")
    return suite, folder / "runs", outcome, text


def test_every_run_has_a_record_and_a_row(finished):
    suite, store, outcome, text = finished
    assert len(outcome.done) == 3
    assert not outcome.failed
    table = (store / "small.md").read_text()
    for run_ in suite.runs():
        record = Store(store).get(run_.key)
        assert record.status == "ok"
        assert 0 <= record.scores["accuracy"] <= 1
        low, high = record.intervals["accuracy"]
        assert low <= record.scores["accuracy"] <= high
        assert record.complexity.parameters > 0
        assert record.complexity.macs > 0
        scopes = [(scope, how) for scope in ("end-to-end", "model") for how in ("sum", "parallel")]
        if not run_.members:
            scopes = [("end-to-end", None), ("model", None)]
        assert [(t.scope, t.combined) for t in record.latencies] == scopes
        assert record.latencies[0].device_type == "cpu"
        assert record.latencies[0].threads == 1
        assert record.environment.threads == 1
        assert record.data.clips["test"] == 20
        assert run_.model in table
    assert "[3/3]" in text
    assert "[timing 3/3]" in text


def test_a_fusion_is_the_product_of_its_members_and_costs_their_sum(finished):
    suite, store, _, _ = finished
    fc, cnn, fused = (Store(store).get(r.key) for r in suite.runs())
    logits = [np.load(Store(store).artifacts(r.key) / "logits.npz")["logits"].astype(float) for r in (fc, cnn)]
    expected = sum(x - np.log(np.exp(x).sum(1, keepdims=True)) for x in logits)
    saved = np.load(Store(store).artifacts(fused.key) / "logits.npz")
    assert (saved["logits"].argmax(1) == expected.argmax(1)).all()
    assert fused.scores["accuracy"] == pytest.approx((expected.argmax(1) == saved["targets"]).mean())
    assert fused.complexity.parameters == fc.complexity.parameters + cnn.complexity.parameters
    assert fused.complexity.macs == fc.complexity.macs + cnn.complexity.macs
    assert 0 <= fused.conflict <= 1
    slow, quick = sorted((fc.latencies[0].p50_ms, cnn.latencies[0].p50_ms), reverse=True)
    assert [t.p50_ms for t in fused.latencies[:2]] == pytest.approx([slow + quick, slow])


def test_a_fusion_done_again_by_another_process_keeps_its_new_record(finished, tmp_path):
    suite, source, _, _ = finished
    store = tmp_path / "runs"
    shutil.copytree(source, store)
    fusion = suite.runs()[-1].key
    untimed = Store(store).get(fusion).with_latencies(())
    Store(store).write(untimed)
    console = Console(file=io.StringIO())
    settings = RunSettings(store=store, data_dir=Path("nowhere"), device="cpu", workers=2)
    runner = Runner(suite, settings, Progress(console), "serial")
    Store(store).write(replace(untimed, started="2031-01-01T00:00:00+00:00"))  # the other process
    runner.time(suite.runs())
    record = Store(store).get(fusion)
    assert record.started == "2031-01-01T00:00:00+00:00"
    assert record.latencies


def test_timings_are_measured_again_without_training(finished, tmp_path):
    suite, source, _, _ = finished
    store = tmp_path / "runs"
    shutil.copytree(source, store)
    before = {r.key: Store(store).get(r.key) for r in suite.runs()}
    suite = write(tmp_path / "small.toml", 'backends = ["eager", "channels-last"]\n' + SMALL)
    outcome, _ = run(suite, store)  # asks for one backend more
    fc, cnn, fused = (Store(store).get(r.key) for r in suite.runs())
    assert not outcome.done
    assert fc.latencies == before[fc.key].latencies  # has no convolution, and says so
    assert "FC has no 2-D convolution" in fc.not_timed["channels-last"]
    assert any("was not timed on channels-last: FC has" in words for words in outcome.warnings)
    assert cnn.latencies[:2] == before[cnn.key].latencies
    assert [(t.backend, t.scope) for t in cnn.latencies[2:]] == [
        ("channels-last", "end-to-end"),
        ("channels-last", "model"),
    ]
    assert fused.latencies == before[fused.key].latencies  # one member has no such timing
    assert not run(suite, store)[0].warnings  # nothing is tried twice
    runs = suites.select(suite.runs(), model=("cnn",))
    noisy = tuple(replace(timing, grade="C") for timing in cnn.latencies)  # any new one takes their settings
    Store(store).write(cnn.with_latencies(noisy))
    settings = RunSettings(store=store, data_dir=Path("nowhere"), device="cpu")
    Runner(suite, settings, Progress(Console(file=io.StringIO())), "serial").time(runs, again=True)
    again = [Store(store).get(r.key) for r in suite.runs()]
    assert again[0] == fc
    assert [t.backend for t in again[1].latencies] == [t.backend for t in cnn.latencies]
    assert again[1].latencies[0].p50_ms != cnn.latencies[0].p50_ms
    assert again[1].scores == cnn.scores
    assert again[1].started == cnn.started
    slow, quick = sorted((fc.latencies[0].p50_ms, again[1].latencies[0].p50_ms), reverse=True)
    assert [t.p50_ms for t in again[2].latencies[:2]] == pytest.approx([slow + quick, slow])


def test_every_combination_is_fused_from_one_reading_of_the_data(finished, tmp_path, monkeypatch):
    _, source, _, _ = finished
    store = tmp_path / "runs"
    shutil.copytree(source, store)
    text = SMALL.replace('"fusion-ds"', '"short", "fusion-ds", "fusion-deng"') + "[model.short]\nmodel = 'fc'\n"
    suite = write(tmp_path / "small.toml", "fusion_combinations = true\n" + text + "recipe = {epochs = 1}\n")
    run(suite, store, model=("fc", "cnn"))
    readings = []
    real = worker.build.dataset
    monkeypatch.setattr(
        worker.build, "dataset", lambda *given, **named: readings.append(given[0].key) or real(*given, **named)
    )
    outcome, _ = run(suite, store)
    assert len(outcome.done) == 2 * 4 - 1  # of three members each, of which a pair was fused by the other suite
    assert len(readings) == 2  # to look for the data, and to fuse
    table = (store / "small.md").read_text()
    long, short = "fc (epochs=2)", "fc (epochs=1)"
    for members in (f"{long} + cnn", f"{long} + {short}", f"cnn + {short}", f"{long} + cnn + {short}"):
        for method in ("fusion-ds", "fusion-deng"):
            assert f"| {method} (of {members}) |" in table


def test_a_fusion_of_a_run_from_elsewhere_is_fused_and_drawn(finished, tmp_path):
    suite, source, _, _ = finished
    store = tmp_path / "runs"
    shutil.copytree(source, store)
    fc, cnn, fused = suite.runs()
    other = SMALL.replace('["fc", "cnn"', '["fc"') + f"[model.fusion-ds]\nmembers = ['fc', '{cnn.key}']\n"
    suite = write(tmp_path / "other.toml", other)
    assert suite.runs() == (fc, fused)
    outcome, _ = run(suite, store, force=True, model=("fusion-ds",))
    assert outcome.done == [fc.key, fused.key]
    assert f"combines fc on logmel-1s, {cnn.key}" in (store / "other.md").read_text()


def test_a_fusion_whose_member_another_process_has_trained_is_not_left_undone(finished, tmp_path, monkeypatch):
    suite, source, _, _ = finished
    fc, cnn, fused = (each.key for each in suite.runs())
    store = Store(tmp_path / "runs")
    here = Store(source)
    real = Runner._train

    def train_while_another_process_does_the_first(self, runs):
        with store.claim(fc):
            real(self, runs)
        shutil.copytree(here.artifacts(fc), store.artifacts(fc), dirs_exist_ok=True)
        store.write(here.get(fc))

    monkeypatch.setattr(Runner, "_train", train_while_another_process_does_the_first)
    outcome, text = run(suite, store.root)
    assert (outcome.done, outcome.kept, outcome.elsewhere) == ([cnn, fused], [fc], [])
    assert "[3/3]" in text
    assert "[4/" not in text


def test_a_run_that_another_process_has_done_meanwhile_does_not_count_as_done_here(finished, tmp_path, monkeypatch):
    suite, source, _, _ = finished
    shutil.copytree(source, tmp_path / "runs")
    fc, _, fused = suite.runs()
    Store(tmp_path / "runs").path(fc.key).unlink()
    real = Runner._train

    def train_after_another_process(self, runs):
        shutil.copy(Store(source).path(fc.key), Store(tmp_path / "runs").path(fc.key))
        real(self, runs)

    monkeypatch.setattr(Runner, "_train", train_after_another_process)
    outcome, _ = run(suite, tmp_path / "runs", model=("fc",))
    assert (outcome.done, outcome.kept) == ([fused.key], [fc.key])  # the fusion needs the run that was gone


def test_what_is_in_the_store_is_not_done_again(finished):
    suite, store, _, _ = finished
    before = {p: p.stat().st_mtime_ns for p in (store / "records").iterdir()}
    outcome, _ = run(suite, store)
    assert (outcome.done, len(outcome.kept)) == ([], 3)
    assert {p: p.stat().st_mtime_ns for p in (store / "records").iterdir()} == before


def test_nothing_to_do_reads_each_record_once_and_expands_the_suite_once(finished, monkeypatch):
    suite, store, _, _ = finished
    read, expanded = [], []
    real_json, real_expansion = Record.from_json, suite_module._Expansion.all
    monkeypatch.setattr(Record, "from_json", lambda text, name, *run: read.append(name) or real_json(text, name, *run))
    monkeypatch.setattr(
        suite_module._Expansion, "all", lambda self: expanded.append(self.dataset) or real_expansion(self)
    )
    monkeypatch.setattr(
        "sys.argv", ["bench", "run", "--suite", str(store.parent / "small.toml"), "--store", str(store)]
    )
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    assert sorted(read) == sorted(run_.key for run_ in suite.runs())
    assert expanded == ["synthetic"]


def test_the_mirror_gets_the_grades_that_the_page_shows(finished, tmp_path, monkeypatch):
    suite, source, _, _ = finished
    store = tmp_path / "runs"
    shutil.copytree(source, store)
    fc, cnn, fused = (Store(store).get(r.key) for r in suite.runs())
    steady = {"iqr_share": 0.01, "sentinel_drift": 0.0, "others": 0.0, "samples": 100, "processes": 3, "grade": "A"}
    for record, slowdown in ((fc, 1.0), (cnn, 1.2)):  # the machine was a fifth slower when cnn was timed
        timings = tuple(replace(t, sentinel_ms=0.2 * slowdown, **steady) for t in record.latencies)
        Store(store).write(record.with_latencies(timings))
    Store(store).write(fused.with_latencies(()))
    sent = {}
    mirror = SimpleNamespace(record=lambda record, artifacts: sent.update({record.key: record}))
    settings = RunSettings(store=store, data_dir=Path("nowhere"), device="cpu")
    outcome = Runner(suite, settings, Progress(Console(file=io.StringIO())), "serial", [mirror]).time(suite.runs())
    rows = {row.keys[0, 0]: row for row in outcome.boards[0].rows}
    assert {key: rows[key].cpu.grade for key in rows} == {fc.key: "A", cnn.key: "C", fused.key: "C"}
    assert sent.keys() == {fused.key}
    assert [t.grade for t in sent[fused.key].latencies if t == rows[fused.key].cpu] == ["C"]


def test_a_model_that_kills_its_timing_costs_no_other_model_its_timing(finished, tmp_path):
    suite, source, _, _ = finished
    store = tmp_path / "runs"
    shutil.copytree(source, store)
    fc, cnn, fused = (Store(store).get(r.key) for r in suite.runs())
    for record in (fc, cnn, fused):
        Store(store).write(record.with_latencies(()))
    asked = []

    def execute(jobs, workers, places):
        (job,) = jobs
        asked.append([run_.model for run_ in job.arguments[0]])
        for run_ in job.arguments[0]:
            yield Reported(job.key, TimingStarted(run_.key))
            if run_.key == fc.key:
                yield Failed(job.key, Failure(kind="killed", message="the process was ended by SIGSEGV"), "killed")
                return
            Store(store).write(cnn)
            yield Reported(job.key, TimingEnded(run_.key))
        yield Finished(job.key, None)

    settings = RunSettings(store=store, data_dir=Path("nowhere"), device="cpu")
    runner = Runner(suite, settings, Progress(Console(file=io.StringIO())), "serial")
    runner.execute = execute
    outcome = runner.time(suite.runs())
    assert asked == [["fc", "cnn"], ["cnn"]]
    assert f"{fc.key} was not timed: the process was ended by SIGSEGV" in outcome.warnings
    assert list(outcome.not_timed) == [fc.key]
    assert [bool(Store(store).get(r.key).latencies) for r in suite.runs()] == [False, True, False]


def test_a_process_that_dies_between_two_timings_is_started_again_and_twice_in_vain_is_the_end(finished, tmp_path):
    suite, source, _, _ = finished
    store = tmp_path / "runs"
    shutil.copytree(source, store)
    fc, cnn, fused = (Store(store).get(r.key) for r in suite.runs())
    for record in (fc, cnn, fused):
        Store(store).write(record.with_latencies(()))
    asked = []

    def execute(jobs, workers, places):
        (job,) = jobs
        asked.append([run_.model for run_ in job.arguments[0]])
        if len(asked) == 1:  # what the first model has left behind ends the process after its timing
            yield Reported(job.key, TimingStarted(fc.key))
            Store(store).write(fc)
            yield Reported(job.key, TimingEnded(fc.key))
        yield Failed(job.key, Failure(kind="killed", message="the process was ended by SIGSEGV"), "killed")

    settings = RunSettings(store=store, data_dir=Path("nowhere"), device="cpu")
    runner = Runner(suite, settings, Progress(Console(file=io.StringIO())), "serial")
    runner.execute = execute
    outcome = runner.time(suite.runs())
    assert asked == [["fc", "cnn"], ["cnn"], ["cnn"]]
    assert list(outcome.not_timed) == [cnn.key]
    assert f"{cnn.key} was not timed: the process was ended by SIGSEGV" in outcome.warnings


def test_a_member_done_again_takes_its_fusion_along_and_its_failure_costs_no_result(finished, tmp_path, monkeypatch):
    suite, source, _, _ = finished
    store = tmp_path / "runs"
    shutil.copytree(source, store)
    fc, cnn, fused = (r.key for r in suite.runs())
    outcome, _ = run(suite, store, force=True, model=("cnn",))
    assert outcome.done == [cnn, fused]
    assert [t.combined for t in Store(store).get(fused).latencies] == 2 * ["sum", "parallel"]
    before = Store(store).get(cnn).to_json()
    with monkeypatch.context() as patch:
        patch.setattr("bench.runner.worker._train", failing)
        outcome, _ = run(suite, store, force=True, model=("cnn",))
    assert outcome.failed[cnn].message == "the disk is full. (The earlier result stays in the table.)"
    assert Store(store).get(cnn).to_json() == before
    assert outcome.done == [fused]
    (store / "records" / f"{fc}.json").unlink()
    outcome, _ = run(suite, store, model=("cnn",))
    assert (outcome.done, outcome.kept) == ([], [cnn])
    outcome, _ = run(suite, store)
    assert (outcome.done, outcome.kept) == ([fc, fused], [cnn])


def failing(*arguments):
    raise RunError("the disk is full")


def test_the_same_run_gives_the_same_weights_anywhere(finished, tmp_path):
    suite, store, _, _ = finished
    run(suite, tmp_path, model=("cnn",))
    key = suite.runs()[1].key
    weights = [
        hashlib.sha256((Store(s).artifacts(key) / "weights.safetensors").read_bytes()).hexdigest()
        for s in (store, tmp_path)
    ]
    assert weights[0] == weights[1]
    assert Store(store).get(key).scores == Store(tmp_path).get(key).scores


def test_a_run_that_diverges_fails_alone(tmp_path):
    wild = "{learning_rate = 1e30, gradient_clip = 1e30, schedule = 'constant', optimizer = 'sgd'}"
    text = SMALL + f"[model.cnn]\nrecipe = {wild}\n"
    suite = write(tmp_path / "small.toml", text)
    outcome, output = run(suite, tmp_path / "runs")
    fc, cnn, fused = (r.key for r in suite.runs())
    assert outcome.done == [fc]
    assert outcome.failed[cnn].kind == "RunError"
    assert "lower the learning rate" in outcome.failed[cnn].message
    assert "has no result" in outcome.failed[fused].message
    assert Store(tmp_path / "runs").get(cnn).status == "failed"
    assert "FAILED" in output
    assert "cnn" in (tmp_path / "runs" / "small.md").read_text()


def test_a_full_disk_costs_the_tables_and_records_of_failures_and_no_other_run(tmp_path, monkeypatch):
    suite = write(
        tmp_path / "small.toml", SMALL + "[model.fc]\nrecipe = {learning_rate = 1e30, gradient_clip = 1e30}\n"
    )
    full = OSError(errno.ENOSPC, "No space left on device", "there")
    write_record = Snapshot.write

    def writing(self, record):
        if record.status == "failed":
            raise full
        write_record(self, record)

    monkeypatch.setattr(Snapshot, "write", writing)
    monkeypatch.setattr(driver.files, "draw", mock.Mock(side_effect=full))
    outcome, _ = run(suite, tmp_path / "runs")
    fc, cnn, fused = (r.key for r in suite.runs())
    assert outcome.done == [cnn]
    assert outcome.failed.keys() == {fc, fused}
    assert "Nor was this written: [Errno 28] No space left on device: 'there'" in outcome.failed[fc].message
    assert "a disk is full: free space on it" in outcome.not_drawn.message
    assert outcome.boards  # which the terminal shows
    monkeypatch.undo()
    again, _ = run(suite, tmp_path / "runs")
    assert (again.kept, again.not_drawn) == ([cnn], None)


def test_tables_that_cannot_be_written_are_no_fault_where_nothing_was_done(finished, monkeypatch):
    suite, store, _, _ = finished
    forbidden = OSError(errno.EROFS, "Read-only file system", "there")
    monkeypatch.setattr(driver.files, "draw", mock.Mock(side_effect=forbidden))
    outcome, _ = run(suite, store)
    assert (outcome.not_drawn, len(outcome.kept), len(outcome.boards)) == (None, 3, 1)
    assert outcome.warnings[-1] == "the tables' files stay as they are ([Errno 30] Read-only file system: 'there')"


@pytest.mark.parametrize(
    ("datasets", "executor", "expected"),
    [
        ('["synthetic", "synthetic-tags"]', "processes", 2),
        ('["synthetic", "synthetic-tags"]', "serial", 1),
        ('["synthetic", "other"]\n[dataset.other]\ndataset = "synthetic"\nclip_seconds = 0.5', "processes", 1),
    ],
)
def test_datasets_are_read_at_the_same_time_unless_they_are_one(tmp_path, datasets, executor, expected):
    suite = write(tmp_path / "two.toml", f'models = ["fc"]\ndatasets = {datasets}\n')
    asked = []

    def execute(jobs, workers, places):
        if "prepare" not in jobs[0].target:
            return
        asked.append(workers)
        for n, job in reversed([*enumerate(jobs)]):  # the last one is ready first
            yield Finished(job.key, DataRead((), (f"{n} is short", "both"), {}))

    settings = RunSettings(store=tmp_path / "runs", data_dir=tmp_path, device="cpu", workers=2, timings=False)
    runner = Runner(suite, settings, Progress(Console(file=io.StringIO(), width=200)), executor)
    runner.execute = execute
    outcome = runner.run(suite.runs())
    assert asked == [expected]
    assert outcome.warnings == ["0 is short", "both", "1 is short"]
    assert runner._readers(["esc10", "package.module:Class"]) == 1  # whose `prepare_data` runs alone


def test_an_interruption_while_data_are_read_keeps_the_warnings_about_those_that_were(tmp_path):
    suite = write(tmp_path / "two.toml", 'models = ["fc"]\ndatasets = ["synthetic", "synthetic-tags"]\n')

    def execute(jobs, workers, places):
        if "prepare" in jobs[0].target:
            yield Finished(jobs[0].key, DataRead((), ("a class has one clip",), {}))
            raise KeyboardInterrupt

    console = Console(file=io.StringIO(), width=200)
    settings = RunSettings(store=tmp_path / "runs", data_dir=tmp_path, device="cpu", workers=2)
    runner = Runner(suite, settings, Progress(console), "processes")
    runner.execute = execute
    outcome = runner.run(suite.runs())
    assert outcome.interrupted
    assert outcome.warnings == ["a class has one clip"]
    assert "synthetic: warning: a class has one clip" in console.file.getvalue()


def test_a_missing_fold_stops_only_its_own_runs(tmp_path):
    urbansound8k.write(tmp_path / "urbansound8k", folds=(2, 3, 4))
    text = 'models = ["fc"]\ndatasets = ["urbansound8k"]\nfolds = [0, 1]\n[recipe]\nepochs = 1\n'
    outcome, _ = run(write(tmp_path / "small.toml", text), tmp_path / "runs", data_dir=tmp_path)
    assert [key.split("-")[-3] for key in outcome.done] == ["f1"]
    assert not outcome.failed
    assert "official fold 1 (`fold` 0) cannot be tested" in outcome.missing["urbansound8k"]


def test_a_missing_dataset_and_a_corrupt_file_stop_only_their_own_runs(tmp_path):
    for name in ("low", "high"):
        (tmp_path / "mine" / name).mkdir(parents=True)
        for i in range(10):
            tone = np.sin(np.arange(8000) * (0.1 if name == "low" else 0.5)) * 0.1
            noise = np.random.default_rng(i).normal(size=8000) * 0.01
            soundfile.write(tmp_path / "mine" / name / f"{i}.wav", tone + noise, 16000)
    (tmp_path / "mine" / "low" / "3.wav").write_text("<html>404</html>")
    (tmp_path / "mine" / "high" / "7.wav").write_bytes(b"")
    text = SMALL.replace('["synthetic"]', '["synthetic", "esc10", "folder"]')
    suite = write(tmp_path / "small.toml", text + f'[dataset.folder]\nroot = "{tmp_path / "mine"}"\n')
    outcome, _ = run(suite, tmp_path / "runs", data_dir=tmp_path / "data", model=("fc",))
    assert [key.split("-")[0] for key in outcome.done] == ["synthetic"]
    assert "--data-dir" in outcome.missing["esc10"]
    assert str(tmp_path / "data" / "esc10") in outcome.missing["esc10"]
    (failure,) = outcome.failed.values()
    assert "3.wav" in failure.message
    assert "7.wav" in failure.message
    (tmp_path / "mine" / "low" / "3.wav").unlink()
    (tmp_path / "mine" / "high" / "7.wav").unlink()
    only = {"model": ("fc",), "dataset": ("folder",)}
    outcome, _ = run(suite, tmp_path / "runs", data_dir=tmp_path / "data", **only)
    assert len(outcome.done) == 1


def test_a_killed_suite_repeats_nothing_that_was_finished(start, tmp_path):
    write(tmp_path / "small.toml")
    command = [
        "run",
        "--suite",
        tmp_path / "small.toml",
        "--store",
        tmp_path / "runs",
        "--wandb",
        "disabled",
        "--workers",
        1,
    ]
    killed = start([*BENCH, *map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    records = tmp_path / "runs" / "records"
    until = time.monotonic() + 300
    while not (records.exists() and list(records.glob("*.json"))) and time.monotonic() < until:
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    first = {p: json.loads(p.read_text())["started"] for p in records.glob("*.json")}
    assert first
    code, output, error = bench(*command, "--json")
    assert code == 0, error
    report = json.loads(output)
    assert len(report["done"]) + len(report["kept"]) == 3
    assert len(report["kept"]) >= len(first)
    assert {p: json.loads(p.read_text())["started"] for p in first} == first


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--suite", "smok"], "Did you mean 'smoke'"),
        (["run", "--suite", "smoke", "--model", "nothing"], "no run of the suite has model nothing"),
        (["run", "--suite", "smoke", "--executor", "serail", "--wandb", "disabled"], "Did you mean 'serial'"),
        (["run", "--suite", "smoke", "--executor", "serail", "--dry-run"], "Did you mean 'serial'"),
        (["run", "--suite", "smoke", "--model", "CNN14", "--dry-run"], "Did you mean 'cnn14'"),
        (["complexity", "cnnn"], "Did you mean 'cnn'"),
        (["complexity", "cnn", "--embedding", "10x128"], "takes only waveforms"),
        (["complexity", "fc", "--embedding", "10"], "10x128"),
        (["complexity", "rann-8x3-6"], "t_m"),
        (["complexity", "fusion-ds"], "combines trained models"),
        (["data", "status", "esc11"], "Did you mean 'esc10'"),
    ],
)
def test_a_wrong_call_is_one_line_and_exit_code_2(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    code, _, error = bench(*arguments)
    assert code == 2
    assert words in error
    assert "Traceback" not in error


def test_an_argument_that_a_model_does_not_have_stops_before_the_first_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "small.toml", SMALL + "[model.cnn]\ndropuot = 0.1\n")
    code, _, error = bench("run", "--suite", "small.toml", "--wandb", "disabled")
    assert code == 2
    assert "did you mean 'dropout'" in error
    assert not (tmp_path / "runs" / "records").exists()


def test_list_is_json_and_needs_no_torch(tmp_path):
    code = "import sys; sys.argv = ['bench', 'list', '--json']\nfrom bench.cli import app\n"
    code += "app(standalone_mode=False)\nassert 'torch' not in sys.modules"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    listed = json.loads(result.stdout)
    assert set(listed) == {
        "models", "fusions", "frontends", "datasets", "recipes", "suites", "metrics", "backends",
    }  # fmt: skip
    assert listed["datasets"]["synthetic"]["here"] is True


@pytest.mark.parametrize(
    ("arguments", "parameters", "macs"),
    [
        (["rann-8x4-6", "--classes", "527"], 54_919_313, 47_136_582_912),
        (["fc", "--classes", "527", "--embedding", "10x128"], 904_527, 1280 * 500 + 500 * 527),
        (["swishnet", "--classes", "3"], 5_483, None),
        (["swishnet-wide", "--classes", "3"], 18_267, None),
    ],
)
def test_complexity_prints_the_published_counts(arguments, parameters, macs):
    code, output, _ = bench("complexity", *arguments, "--json")
    assert code == 0
    size = json.loads(output)
    assert size["parameters"] == parameters
    assert macs is None or size["macs"] == macs


def test_publish_and_check(finished, tmp_path):
    suite, store, _, _ = finished
    config = store.parent / "small.toml"
    published = tmp_path / "leaderboards"
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- table small synthetic -->\nold\n<!-- end -->\nafter\n")
    assert bench("publish", "--suite", config, "--store", store, "--to", published)[0] == 0
    assert "old" in readme.read_text()  # a README is written only where its name is given
    assert bench("publish", "--suite", config, "--store", store, "--to", published, "--readme", readme)[0] == 0
    assert len(list((published / "records").iterdir())) == 3
    assert {path.name for path in (published / "artifacts").glob("*/*")} == {"logits.npz.gz"}
    check = ["leaderboard", "--check", "--suite", config, "--store", published, "--readme", readme]
    assert bench(*check)[0] == 0
    shown = readme.read_text()
    assert shown.startswith("before\n")
    assert shown.endswith("<!-- end -->\nafter\n")
    assert "| cnn" in shown
    assert "old" not in shown
    table = published / "small.md"
    table.write_text(table.read_text().replace("cnn", "CNN"))
    code, _, error = bench(*check)
    assert code == 1
    assert "small.md" in error
    assert bench("leaderboard", "--suite", config, "--store", published)[0] == 0
    assert bench(*check)[0] == 0
    record = published / "records" / f"{suite.runs()[0].key}.json"
    record.rename(record.with_name("stray.json"))
    code, _, error = bench(*check)
    assert code == 1
    assert "stray is a record of no suite" in error


def test_data_status_says_where_it_looked(tmp_path, monkeypatch):
    code, output, _ = bench("data", "status", "esc10", "--data-dir", tmp_path)
    assert code == 1
    assert str(tmp_path / "esc10") in output
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    code, output, _ = bench("data", "status", "--json")
    assert code == 0
    assert json.loads(output)["esc10"]["where"] == str(tmp_path / "esc10")
