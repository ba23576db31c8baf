"""A run's report in the terminal, as JSON, and as a page in a browser."""

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.boards import record, run
from typer.testing import CliRunner

from bench.cli.main import app
from bench.leaderboard.render import curves, run_page
from bench.leaderboard.report import find_record, run_report
from bench.records import Failure, Record, Store

KEY = "esc10-cqt-cnn-f0-s0-062eb780"


def show(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["show", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def broken(folder: Path) -> Record:
    trace = "Traceback (most recent call last):\n" + "".join(f'  File "x.py", line {n}\n' for n in range(40))
    error = Failure(kind="RunError", message="<b>loss</b> is nan\x1b[31m", traceback=f"{trace}RunError: the end")
    one = Record(run=run(), status="failed", error=error)
    Store(folder).write(one)
    return one


def test_the_terminal_shows_the_run():
    text = show(KEY, "--store", "leaderboards")
    assert "cnn on cqt on esc10, fold 0, seed 0: ok" in text
    assert re.search(r"accuracy, % +88\.8 +77\.9 to 97\.2", text)
    assert re.search(r"helicopter +rain +4 +50", text)
    assert re.search(r"val_accuracy: [▁▂▃▄▅▆▇█]{40}  first 0\.1, tested 0\.9125, last 0\.9", text)
    assert "1-172649-A-40.ogg" in text
    assert text.endswith(f"To repeat it: bench reproduce {KEY} --store leaderboards\n")


def test_json_has_everything():
    found = json.loads(show(KEY, "--store", "leaderboards", "--json"))
    assert found["scores"]["accuracy"] == pytest.approx(0.8875)
    assert found["confused"][0] == {"true": "helicopter", "predicted": "rain", "clips": 4}
    assert found["per_class"]["macro_recall"]["helicopter"] == 0.5
    assert len(found["curves"]["val_loss"]) == 80
    assert found["hardest"][0]["true"] == "helicopter"
    assert found["error"] is None


def test_a_failed_run_shows_its_error_and_the_end_of_its_traceback(tmp_path):
    one = broken(tmp_path)
    text = show(one.key, "--store", str(tmp_path))
    assert "RunError: <b>loss</b> is nan" in text
    assert "\x1b" not in text
    assert "RunError: the end" in text
    assert "line 39" in text
    assert "line 10\n" not in text
    show(one.key, "--store", str(tmp_path), "--html", str(tmp_path / "run.html"))
    page = (tmp_path / "run.html").read_text()
    assert "<b>loss</b>" not in page
    assert "&lt;b&gt;loss&lt;/b&gt; is nan" in page
    assert "RunError: the end" in page
    assert f"bench run --suite SUITE --key {one.key}" in page


def test_an_unknown_key_is_one_line(tmp_path):
    result = CliRunner().invoke(app, ["show", "nothing", "--store", str(tmp_path)])
    assert "there is no record 'nothing'" in str(result.exception)


def test_a_curve_in_blocks():
    assert curves.blocks([0.0, 0.5, 1.0]) == "▁▅█"
    assert curves.blocks([1.0, 1.0]) == "▁▁"
    assert curves.blocks([0.0, float("nan"), 1.0]) == "▁ █"
    assert curves.blocks([]) == ""
    assert len(curves.blocks(list(range(1000)))) <= 60
    assert curves.blocks(list(range(1000)))[-1] == "█"  # the last epoch is among those shown


def test_curves_are_plots_of_scores_and_losses():
    values = (1.0, float("nan"), 0.5)
    first, second = curves.plots({"train_loss": values, "val_loss": values, "val_accuracy": (0.1, 0.2, 0.3)}, 2)
    assert "val_accuracy" in first
    assert second.count('class="curve-val"') == 2  # the line and its key
    assert second.count('class="curve-loss"') == 2
    for svg in (first, second, *curves.plots({"<x>": (0.5,)}, 0)):
        ET.fromstring(svg)
        assert "nan" not in svg
        assert "style=" not in svg  # the page's policy would block it
    assert curves.plots({}, None) == []


def test_the_metric_of_speech_is_not_shown_where_it_means_nothing(tmp_path):
    one = record(run(), scores={"accuracy": 0.8, "sns": 0.9}, classes=("speech", "dog", "rain"))
    report = run_report(Store(tmp_path), one)
    assert "sns" not in run_page.run_html(report)
    assert run_page.run_json(report)["scores"]["sns"] == 0.9


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (390, "dark")])
def test_the_page_in_a_browser(browser, tmp_path, width, scheme):
    from axe_playwright_python.sync_playwright import Axe

    path = tmp_path / "run.html"
    store, one = find_record(Store(Path("leaderboards")), KEY)
    report = run_report(store, replace(one, best_epoch=0))
    path.write_text(run_page.run_html(report))
    said: list[str] = []
    place = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = place.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url) if not request.url.startswith("file:") else None)
    page.goto(f"file://{path}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("svg.plot").count() == 2
    assert page.locator("svg .curve-val").first.evaluate("e => getComputedStyle(e).fill") == "none"
    heat = page.locator("td.wrong-4, td.wrong-5").first
    assert heat.evaluate("e => getComputedStyle(e).backgroundColor") != "rgba(0, 0, 0, 0)"
    assert page.get_by_text("never improved").count() + page.get_by_text("better than the first").count() >= 1
    found = Axe().run(page).response["violations"]
    assert [f"{each['id']}: {node['html'][:200]}" for each in found for node in each["nodes"]] == []
    place.close()
    assert said == []
