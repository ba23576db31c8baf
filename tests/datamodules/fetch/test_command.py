"""`bench data download`."""

import json
from pathlib import Path

import pytest
from fakes.downloads import offered
from fakes.server import Server
from typer.testing import CliRunner

from bench.cli import app
from bench.errors import BenchError, SuiteError
from datamodules.fetch.sources import SOURCES


def run(*arguments: str, **options: object) -> object:
    return CliRunner().invoke(app, ["data", "download", *arguments], **options)


def test_the_command(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, "esc50", offered(server))
    refused = run("esc50", "--data-dir", str(tmp_path))
    assert isinstance(refused.exception, SuiteError)
    assert "--yes" in str(refused.exception)
    assert "licence:  CC0" in refused.stderr
    assert server.requests == []
    server.files["copies/set.zip"] = server.files.pop("set.zip")
    missing = run("esc50", "--data-dir", str(tmp_path), "--yes")
    assert isinstance(missing.exception, BenchError)
    assert "not there (404)" in str(missing.exception)
    done = run("esc50", "--data-dir", str(tmp_path), "--yes", env={"BENCH_MIRROR": server.url("copies")})
    assert done.exit_code == 0
    assert f"downloaded, verified and unpacked: {tmp_path / 'esc50'}" in done.stdout
    again = json.loads(run("esc50", "--data-dir", str(tmp_path), "--yes", "--json").stdout)
    assert again == {
        "dataset": "esc50",
        "where": str(tmp_path / "esc50"),
        "state": "here",
        "files": [],
        "licence": "CC0",
    }


@pytest.mark.parametrize("name", ["vggsound", "audioset"])
def test_lists_of_videos_are_told_what_to_do(tmp_path: Path, name: str) -> None:
    told = run(name, "--data-dir", str(tmp_path))
    assert told.exit_code == 1
    assert "no direct source" in told.stdout
    assert str(tmp_path) in told.stdout
    about = json.loads(run(name, "--data-dir", str(tmp_path), "--json").stdout)
    assert about["state"] == "by hand"
    assert about["problem"]


def test_names_that_are_not_downloaded() -> None:
    assert "made by code" in str(run("synthetic").exception)
    assert "Did you mean 'esc50'" in str(run("esc5").exception)
