"""Finished runs whose source has changed are done again."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.cli import main
from bench.records import Store

SUITE = """
models = ["fc", "snn"]
datasets = ["synthetic"]
[recipe]
epochs = 1
[dataset.synthetic]
clips_per_class = 10
clip_seconds = 0.5
"""


@pytest.mark.process
@pytest.mark.slow
def test_a_run_is_done_again_where_its_source_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "two.toml").write_text(SUITE)
    store = Store(tmp_path / "runs")

    def run(*arguments: str) -> str:
        given = ["run", "--suite", str(tmp_path / "two.toml"), "--store", str(store.root), "--executor", "serial"]
        monkeypatch.setattr(sys, "argv", ["bench", *given, "--wandb", "disabled", "--device", "cpu", *arguments])
        monkeypatch.setenv("COLUMNS", "300")
        with pytest.raises(SystemExit, match="0"):
            main()
        return capsys.readouterr().out

    assert "changed" not in run()
    keys = store.keys()
    fc, snn = map(store.get, keys)
    assert fc is not None
    assert snn is not None
    assert set(fc.sources) == {"model", "frontend", "dataset"}
    assert fc.sources["dataset"] == snn.sources["dataset"]
    store.write(replace(fc, sources=fc.sources | {"model": "0" * 16}))
    store.write(replace(snn, sources={}))  # as records from before digests were kept
    line = "1 run is done again because its source changed: that of the model"
    assert line in run("--dry-run")
    output = run()
    assert line in output
    assert "1 run now, 1 done before" in output
    assert store.get(fc.key).sources == fc.sources  # type: ignore[union-attr]
    assert store.get(fc.key).started >= fc.started  # type: ignore[union-attr]
    output = run()
    assert "changed" not in output
    assert "0 run now, 2 done before" in output
    for key in keys:
        record = store.get(key)
        assert record is not None
        store.write(replace(record, sources={"frontend": "0", "dataset": "0"}))
    line = "2 runs are done again because their source changed: that of the front-end and the dataset"
    assert line in run("--dry-run")
