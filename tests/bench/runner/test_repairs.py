"""A run makes damaged files of the cache again, and names them."""

from pathlib import Path
from weakref import WeakKeyDictionary

import pytest

from bench import suites
from bench.runner import worker
from bench.runner.news import News, Noted
from bench.runner.settings import RunSettings
from datamodules.clips import array_cache

SUITE = """
models = ["cnn"]
datasets = ["synthetic"]
[recipe]
epochs = 1
[dataset.synthetic]
clips_per_class = 10
clip_seconds = 0.5
"""


def test_features_that_are_made_again_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one.toml").write_text(SUITE)
    run = suites.read(str(tmp_path / "one.toml")).runs()[0]
    settings = RunSettings(store=tmp_path, data_dir=tmp_path, device="cpu")

    def noted() -> list[str]:
        news: list[News] = []
        monkeypatch.setattr(array_cache, "_MAPPED", WeakKeyDictionary())  # as in a process of its own
        result = worker.execute(run, settings, True, news.append)
        assert result == "done", getattr(result, "error", result)
        return [each.line for each in news if isinstance(each, Noted)]

    assert noted() == []
    kept = sorted((tmp_path / "cache").glob("features-*.npy"))
    assert kept
    content = bytearray(kept[0].read_bytes())
    content[-1] ^= 1
    kept[0].write_bytes(content)
    assert noted() == [f"{kept[0]} was damaged in 1 of 1 parts and was made again"]
    assert noted() == []
