"""Names that are too long for W&B."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from fakes.mirrored import LOGITS, OK, TARGETS
from fakes.paths import PROJECT
from fakes.wandb_file import WandbRun, read_runs

from bench.leaderboard.pareto import AXES, Plot, Point
from bench.records import Record
from bench.tracking import Mirror, limits
from bench.tracking.limits import fitted


@pytest.fixture(scope="module")
def long_names(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Record], list[WandbRun]]:
    """Return two records whose names are too long for W&B and differ at the end only, and all W&B runs."""
    folder = tmp_path_factory.mktemp("long")
    np.savez(folder / "logits.npz", logits=LOGITS, targets=TARGETS)
    (folder / "model.pt").write_bytes(b"weights")
    records = [
        replace(OK, run=replace(OK.run, model=f"package.module:{'Wide' * 20}{end}", dataset="e" * 65)) for end in "ab"
    ]
    with Mirror("offline", "s" * 150, folder / "wandb") as mirror:
        for record in records:
            mirror.record(record, folder)
        row = (1, "cnn", "logmel", 0.75, 0.7, 0.8, 1000, 20000, 4.0, "5/5")
        columns = ("rank", "model", "frontend", "accuracy", "low", "high", "parameters", "macs", "cpu_p50_ms", "runs")
        point = Point(label="cnn", system="cnn", frontend="logmel", cost=4.0, score=0.75, interval=None, front=True)
        plots = [
            Plot(dataset=name, metric="accuracy", axis=axis, points=(point,), left_out="")
            for name in ("e" * 65, "e" * 66)
            for axis in AXES
        ]
        mirror.summary([("e" * 65, columns, [row]), ("e" * 66, columns, [row])], plots)
        assert mirror.close(120) is None, (folder / "wandb" / "mirror.log").read_text()
    return records, list(read_runs(folder / "wandb").values())


@pytest.mark.process
def test_names_that_are_too_long_for_wandb_lose_nothing(long_names: tuple[list[Record], list[WandbRun]]) -> None:
    records, runs = long_names
    summary = next(run for run in runs if run.job_type == "summary")
    mirrored = [run for run in runs if run is not summary]
    assert len({run.run_id for run in mirrored}) == len({run.name for run in mirrored}) == 2
    assert {len(run.group) for run in runs} == {128}
    assert len({run.group for run in runs}) == 1
    for run in mirrored:
        assert {len(tag) for tag in run.tags} == {6, 64}
        assert run.summary["test_accuracy"] == 0.75
        assert run.tables["average-precision_table"]["data"]
        kinds = [kind for kind, _ in run.artifacts.values() if kind != "run_table"]
        assert sorted(kinds) == ["model", "record"]
        assert all(len(name) <= 128 for name in run.artifacts)
        assert run.config["model"] in {record.run.model for record in records}  # the whole name is in the settings
    assert len({tag for run in mirrored for tag in run.tags}) == 4  # two models, one dataset, one front-end
    boards = [name for name in summary.tables if name.startswith("leaderboard/")]
    assert len(boards) == 2
    assert len([name for name in summary.tables if name.startswith("pareto/")]) == 6


def test_a_name_that_fits_stays_and_one_that_does_not_stays_unique() -> None:
    assert fitted("cnn", limits.TAG) == "cnn"
    assert fitted("m" * 64, 64) == "m" * 64
    digest = hashlib.sha256(b"m" * 65).hexdigest()[:8]
    assert fitted("m" * 65, 64) == f"{'m' * 55}-{digest}"
    assert fitted("m" * 65, 64) != fitted("m" * 66, 64)
    assert fitted("a:b", 64, limits.RESERVED) != fitted("a;b", 64, limits.RESERVED) != fitted("a-b", 64)
    assert fitted("a:b", 64, limits.RESERVED).startswith("a-b-")


def test_published_names_are_not_shortened() -> None:
    keys = [path.stem for path in (PROJECT / "leaderboards" / "records").glob("*.json")]
    assert len(keys) > 100
    assert [fitted(key, limits.RUN_ID, limits.RESERVED) for key in keys] == keys
