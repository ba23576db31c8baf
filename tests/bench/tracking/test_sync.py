"""`bench sync` with W&B's real client and a stand-in for its server: what is missing is sent, once."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.wandb_server import WandbServer, serving
from typer.testing import CliRunner

from bench.cli import app
from bench.errors import BenchError
from bench.records import Failure, Recipe, Record, Run, Snapshot, Store
from bench.tracking import Mirror
from bench.tracking.sync import Synced, sync

pytestmark = [pytest.mark.process, pytest.mark.slow]
RUNS = [
    Run(model="fc", frontend="logmel-1s", dataset="synthetic", fold=0, seed=seed, recipe=Recipe(epochs=3))
    for seed in range(3)
]
CURVES: dict[str, tuple[float, ...]] = {"train_loss": (3.0, 2.0, 1.0), "val_accuracy": (0.25, 0.5, 0.75)}
DONE = [
    Record(run=run, status="ok", started="2026-01-01T00:00:00+00:00", scores={"accuracy": 0.5}, curves=CURVES)
    for run in RUNS[:2]
]
FAILED = Record(
    run=RUNS[2], status="failed", started="2026-01-01T00:00:00+00:00", error=Failure(kind="OSError", message="no")
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbServer]:
    with serving() as found:
        monkeypatch.setenv("WANDB_BASE_URL", found.url)
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
        yield found


def synced(store: Store, seconds: float = 60.0) -> Synced:
    return sync("little", Snapshot(store, RUNS), [run.key for run in RUNS], (), store, project="p", seconds=seconds)


def test_what_is_missing_is_sent_and_a_second_time_nothing(tmp_path: Path, server: WandbServer) -> None:
    store = Store(tmp_path)
    for record in (*DONE, FAILED):
        store.write(record)
    found = synced(store)
    assert (set(found.sent), found.there, found.missing, found.warning) == ({run.key for run in RUNS}, (), (), None)
    assert {server.runs[run.key].state for run in RUNS} == {"finished", "failed"}
    kept = server.runs[DONE[0].key]
    assert [step["val_accuracy"] for step in kept.history if "val_accuracy" in step] == [0.25, 0.5, 0.75]
    opened = {key: run.opened for key, run in server.runs.items()}
    artifacts = len(server.artifacts)

    found = synced(store)
    assert (found.sent, len(found.there), found.missing) == ((), 3, ())
    assert ({key: run.opened for key, run in server.runs.items()}, len(server.artifacts)) == (opened, artifacts)

    store.write(replace(DONE[0], seconds={"train": 2.0}))  # the same training
    store.write(replace(DONE[1], started="2026-01-02T00:00:00+00:00", scores={"accuracy": 0.75}))  # another one
    found = synced(store)
    assert (set(found.sent), len(found.there)) == ({record.key for record in DONE}, 1)
    assert server.runs[DONE[0].key].summary["seconds/train"] == 2.0
    assert server.runs[DONE[1].key].summary["test_accuracy"] == 0.75
    for record in DONE:
        kept = server.runs[record.key]
        assert [step["train_loss"] for step in kept.history if "train_loss" in step] == [3.0, 2.0, 1.0]


def test_a_training_that_was_killed_and_resumed_is_one_whole_run(tmp_path: Path, server: WandbServer) -> None:
    key = RUNS[0].key
    killed = Mirror("online", "little", tmp_path, "p")
    killed.started(RUNS[0])
    killed.point(key, {"epoch": 0, "train_loss": 3.0, "val_accuracy": 0.25})
    while not killed._points_logged:
        killed._reader.join(0.05)
    assert killed._child is not None
    killed._child.kill()
    killed._child.wait()
    store = Store(tmp_path)
    store.write(DONE[0])
    resumed = Mirror("online", "little", tmp_path, "p")
    resumed.started(RUNS[0])
    resumed.point(key, {"epoch": 2, "train_loss": 1.0, "val_accuracy": 0.75})
    resumed.record(DONE[0])
    assert resumed.close(60.0) is None
    assert list(server.runs) == [key]
    losses = {step["epoch"]: step["train_loss"] for step in server.runs[key].history if "train_loss" in step}
    assert losses == {0: 3.0, 1: 2.0, 2: 1.0}
    assert sum("train_loss" in step for step in server.runs[key].history) == 3
    assert synced(store).there == (key,)


def test_a_server_that_fails_meanwhile_is_named_and_the_rest_is_sent_later(tmp_path: Path, server: WandbServer) -> None:
    store = Store(tmp_path)
    store.write(DONE[0])
    server.fails_after = 3
    found = synced(store, seconds=1.0)
    assert (found.sent, found.missing) == ((), (DONE[0].key,))
    assert found.warning is not None
    server.status, server.fails_after = 200, None
    assert synced(store).sent == (DONE[0].key,)


def test_without_a_server_or_a_key_nothing_is_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    with pytest.raises(
        BenchError, match=r"nothing was sent: W&B at 127\.0\.0\.1 cannot be reached .*; repeat this command later"
    ):
        synced(Store(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    done = CliRunner().invoke(app, ["sync", "--suite", "smoke", "--store", str(tmp_path)])
    assert done.exit_code == 1
    assert str(done.exception) == (
        "nothing was sent: W&B has no key for 127.0.0.1; set WANDB_API_KEY or run `wandb login`, and repeat this "
        "command"
    )
