"""Each row of a suite's page names the command that uses its trained models."""

import html
import re
from pathlib import Path

import pytest
from fakes.boards import boards, failure, record, run

from bench.leaderboard import files, render
from bench.leaderboard.board import leaderboards
from bench.records import Store
from bench.suites import read
from bench.text import NONE


def named(*pairs):
    """Return leaderboards of records with the names that a suite gives them."""
    records = [each for each, _ in pairs]
    names = {each.key: name for each, name in pairs}
    return leaderboards([r.run for r in records], {r.key: r for r in records}, names)


def test_a_row_is_named_as_in_its_suite():
    found = named((record(run("cnn")), "wide"), (record(run("fc")), "my fc"), (failure(run("ltc")), "ltc"))
    text = render.markdown("t", found, "c", suite="my.toml")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert lines[0].endswith(" | to use it |")
    assert any("| wide |" in line and line.endswith(" | bench predict --run my.toml:wide FILES |") for line in lines)
    assert any(line.endswith("| bench predict --run 'my.toml:my fc' FILES |") for line in lines)
    assert any("| ltc |" in line and line.endswith(f" | {NONE} |") for line in lines)
    page = render.html("t", found, "c", suite="my.toml")
    assert "<code>bench predict --run my.toml:wide FILES</code>" in page
    assert "&#x27;my.toml:my fc&#x27; FILES</code>" in page


def test_a_name_that_several_rows_have_is_replaced_by_a_key():
    one, other = record(run("cnn")), record(run("cnn", dataset="esc50"))
    text = render.markdown("t", named((one, "cnn"), (other, "cnn")), "c", suite="all")
    assert f"| bench predict --run {one.key} FILES |" in text
    assert f"| bench predict --run {other.key} FILES |" in text


def test_a_page_without_a_suite_has_no_commands():
    assert "bench predict" not in render.markdown("t", boards(record(run())), "c")
    assert "bench predict" not in render.html("t", boards(record(run())), "c")


def test_the_commands_name_another_store_than_the_default_one():
    found = named((record(run("cnn")), "wide"))
    for page in (
        render.markdown("t", found, "c", suite="my.toml", store="my runs"),
        render.html("t", found, "c", suite="my.toml", store="my runs").replace("&#x27;", "'"),
    ):
        assert "bench predict --run my.toml:wide --store 'my runs' FILES" in page


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize(
    ("folder", "named"), [("runs", ""), ("my runs", " --store 'my runs'"), ("../other", " --store ../other")]
)
def test_the_pages_of_a_store_name_it_as_a_command_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, named: str, absolute: bool
):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    store = Store(here / folder if absolute else Path(folder))
    drawn = files.texts(read("smoke"), (), store)
    for kind in ("md", "html"):
        page = html.unescape(drawn[store.root / f"smoke.{kind}"])
        assert re.search(rf"bench run --suite smoke{re.escape(named)}(\n|</code>)", page)


@pytest.mark.parametrize("weights", [True, False])
def test_a_published_page_says_whether_its_store_has_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: bool
):
    monkeypatch.chdir(tmp_path)
    store = Store(tmp_path / "shown")
    one = record(run("cnn"))
    if weights:
        store.artifacts(one.key).mkdir(parents=True)
        (store.artifacts(one.key) / "weights.safetensors").write_bytes(b"")
    page = files.texts(read("smoke"), named((one, "cnn")), store, index=True)[store.root / "smoke.md"]
    assert ("need weights, which this folder does not have. bench run --suite smoke trains" in page) != weights
    assert ("bench predict --run smoke:cnn --store shown FILES" in page) == weights
