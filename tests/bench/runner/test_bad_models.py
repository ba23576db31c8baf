"""A suite of models that hang, leak, exit, die, fork, start threads and print, among models that do not."""

import json
import re
import shutil
import sys
import time
from pathlib import Path

import pytest
from fakes import bad_models

from bench import lookup
from bench.cli import main
from bench.records import Record, Store
from bench.runner import driver

WHILE_TRAINING = {
    "Hangs": r"nothing went on for 0.15 minutes \(--stall-minutes\); it was in hang \(bad_models.py:\d+\)",
    "HangsAfterTraining": r"nothing went on for 0.15 minutes \(--stall-minutes\); it was in hang \(bad_models.py:\d+\)",
    "Exits": "the process ended with exit code 0 before its run did",
    "SystemExits": r"sys\.exit\(0\)",
    "Segfaults": "the process was ended by SIGSEGV",
    "LeavesSessionsAndDies": "the process was ended by SIGSEGV",
}
WHILE_TIMED = {
    "HangsWhileTimed": r"nothing went on|it was in hang",
    "SegfaultsWhileTimed": "SIGSEGV",
}
GOOD = ("fc", "cnn", "Leaks", "Forks", "ForksAndGoesOn", "LeavesSessions", "StartsThreads", "Prints")

SUITE = f"""
models = [{
    ", ".join(
        f'"{name}"'
        for name in ("fc", *(f"bad_models:{name}" for name in (*WHILE_TRAINING, *WHILE_TIMED, *GOOD[2:])), "cnn")
    )
}]
datasets = ["synthetic"]
frontends = ["logmel-1s"]
[recipe]
epochs = 1
[dataset.synthetic]
clips_per_class = 10
clip_seconds = 0.5
"""


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks at processes in /proc")
def test_the_suite_ends_names_the_bad_ones_and_leaves_nothing_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(str(bad_models.__file__), tmp_path)
    (tmp_path / "bad.toml").write_text(SUITE)
    store = Store(tmp_path / "runs")
    arguments = f"--suite {tmp_path}/bad.toml --store {store.root} --workers 3 --stall-minutes 0.15 --device cpu"
    monkeypatch.setattr(sys, "argv", ["bench", "run", *arguments.split(), "--wandb", "disabled", "--json"])
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(driver, "WIDE", 1.0)
    with pytest.raises(SystemExit) as end:
        main()
    lookup.forget()
    assert end.value.code == 1
    said = json.loads(capfd.readouterr().out)  # nothing that a model prints is there
    records = {name(record): record for record in map(store.get, store.keys()) if record}
    assert records.keys() == {*WHILE_TRAINING, *WHILE_TIMED, *GOOD}

    failed, untimed = ({name(records_of(records, key)): words for key, words in said[kind].items()}
                       for kind in ("failed", "not_timed"))  # fmt: skip
    assert failed.keys() == WHILE_TRAINING.keys()
    assert untimed.keys() == WHILE_TIMED.keys()
    for kind, wanted in ((failed, WHILE_TRAINING), (untimed, WHILE_TIMED)):
        for model, words in wanted.items():
            assert re.search(words, kind[model]), kind[model]
    for model in ("Hangs", "HangsAfterTraining"):
        error = records[model].error
        assert error is not None
        assert re.search(r'most recent call first\):\n  File ".*bad_models.py", line \d+ in hang\n', error.traceback)
    for model in GOOD:
        assert records[model].status == "ok"
        assert records[model].latencies, f"{model} is not timed"

    left = [int(path.name) for path in (tmp_path / "processes").iterdir()]
    assert len(left) >= 14
    until = time.monotonic() + 60
    while any(map(alive, left)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not [process for process in left if alive(process)]


def name(record: Record) -> str:
    return record.run.model.rpartition(":")[2]


def records_of(records: dict[str, Record], key: str) -> Record:
    return next(record for record in records.values() if record.key == key)
