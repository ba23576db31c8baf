"""Each row of a suite's page names the command that uses its trained models."""

from fakes.boards import boards, failure, record, run

from bench.leaderboard import render
from bench.leaderboard.board import leaderboards
from bench.leaderboard.render.text import NONE


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
