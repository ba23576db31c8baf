"""The explorer in a browser, on rows of the page of ESC-10: by mouse and keyboard, light and dark, at any width."""

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.boards import boards, fused, record, run

from bench import suites
from bench.leaderboard import clips, files, render
from bench.leaderboard.compare import compare, p_value, points
from bench.records import Snapshot, Store

STORE = Store(Path("leaderboards"))
WHOLE = Path("leaderboards/esc10.html").resolve()
KEPT = ("cnn-wide", "cnn", "cnn-cqt", "swishnet", "swishnet-wide", "fc")


@pytest.fixture(scope="module")
def board():
    """Six rows of the published board, so that a look at all of the page takes little time."""
    suite = suites.read("esc10")
    (found,) = files.boards(Snapshot(STORE, suite.runs()), suite)
    return replace(found, rows=tuple(row for row in found.rows if row.label in KEPT))


@pytest.fixture(scope="module")
def small_page(board, tmp_path_factory):
    said = clips.collect(STORE, "esc10", (r for row in board.rows for r in row.records))
    path = tmp_path_factory.mktemp("page") / "esc10.html"
    path.write_text(render.html("ESC-10", (board,), "bench run --suite esc10", suite="esc10", clips=said))
    return path


@pytest.fixture
def visit(browser):
    """Open a page; nothing may be loaded, blocked by its policy, or thrown."""
    said, opened = [], []

    def visit(address, **context):
        place = browser.new_context(**context)
        opened.append(place)
        page = place.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url) if not request.url.startswith("file:") else None)
        page.goto(address if str(address).startswith("file:") else f"file://{address}")
        return page

    yield visit
    for place in opened:
        place.close()
    assert said == []


def violations(page) -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {node['html'][:200]}" for each in found for node in each["nodes"]]


def row(page, name):
    return page.locator("table.main tbody tr").filter(has=page.get_by_role("link", name=name, exact=True))


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (390, "dark")])
def test_nothing_is_clipped_and_axe_finds_nothing(visit, small_page, width, scheme):
    page = visit(small_page, viewport={"width": width, "height": 900}, color_scheme=scheme)
    row(page, "cnn-wide").locator(".pin").click()
    row(page, "cnn-cqt").locator(".pin").click()
    row(page, "cnn").locator("td").first.click()
    page.get_by_text("Confusion matrix of cnn on").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if width >= 1400:
        assert page.evaluate("[...document.querySelectorAll('.wide')].every(e => e.scrollWidth <= e.clientWidth)")
    head, score = row(page, "cnn-wide").locator("th, td").all()[:2]
    page.locator(".wide").first.evaluate("wide => { wide.scrollLeft = 60 }")
    assert head.bounding_box()["x"] < 40  # it is sticky
    page.locator(".wide").first.evaluate("wide => { wide.scrollLeft = 0 }")
    assert score.inner_text().startswith("88.8")
    assert score.bounding_box()["x"] + score.bounding_box()["width"] <= width
    matrix = page.locator(".panel button.heat").first
    assert matrix.evaluate("e => getComputedStyle(e).backgroundColor") != "rgba(0, 0, 0, 0)"
    assert violations(page) == []


@pytest.mark.slow
def test_two_rows_are_compared_as_the_command_does(visit, board, small_page):
    page = visit(small_page)
    for a, b in (("fc", "cnn-wide"), ("swishnet", "swishnet-wide"), ("cnn-wide", "cnn-cqt")):
        page.get_by_role("button", name="Unpin all").click()
        row(page, a).locator(".pin").click()
        row(page, b).locator(".pin").click()
        found = compare(board, next(r.full for r in board.rows if r.label == a), b, STORE)
        d = found.difference
        mean, low, high = points(d)
        assert page.locator(".difference").inner_text() == (
            f"esc10, accuracy: {found.a} {100 * found.score_a:.1f}, {found.b} {100 * found.score_b:.1f}; difference "
            f"{mean} [{low}, {high}] points, {p_value(d.p)}: {'a difference' if d.significant else 'may be chance'}"
        )
    said = page.locator(".mcnemar").inner_text()  # counted with `bench compare` on the logits
    assert (
        said
        == "clips that only one of them has right: 23 and 15; exact McNemar p = 0.256 (treats clips as independent)"
    )
    assert page.get_by_role("table", name="Clips that flip").locator("tbody tr").count() == 38


@pytest.mark.slow
def test_a_view_is_made_by_mouse_kept_in_its_address_and_copied(visit, small_page):
    page = visit(small_page, viewport={"width": 1400, "height": 1200})
    page.get_by_label("Axis").select_option(label="parameters")
    row(page, "cnn").hover()
    assert page.locator(".point.hot title").text_content().startswith("cnn on logmel-20ms: 87.5 [82.9, 91.5], 310 k")
    page.locator(".point[aria-label*='fc on logmel-1s']").hover()
    assert page.locator("table.main tr.hot").count() == 1
    page.locator(".point[aria-label*='swishnet on mfcc']").click()
    assert {"pinned", "pareto"} <= set(row(page, "swishnet").get_attribute("class").split())
    page.get_by_role("button", name="128 kB and 30 MMACs").click()
    fit = {"swishnet", "swishnet-wide"}
    shown = page.locator("table.main tbody tr:visible")
    assert {each.inner_text() for each in shown.locator("th a").all()} == fit
    assert page.locator(".point").count() == 2
    page.locator("table.main thead").get_by_role("button", name="parameters").click()
    page.get_by_label("Filter rows").first.fill("swish")
    row(page, "swishnet-wide").locator("td").first.click()
    evidence = page.get_by_role("region", name="Evidence").inner_text()
    for words in (
        "accuracy, % of swishnet-wide on mfcc: 74.2",
        "bench reproduce esc10-mfcc-swishnet-wide-f0-s0-",
        "learning_rate=0.01",
        "5 folds, 1 seed; 5 runs of 5",
        "400 of 400 official clips",
        "B for the CPU latency",
        "c7d3bba69d",
    ):
        assert words in evidence
    assert (
        page.locator(".evidence a[href^='records/']")
        .first.evaluate("a => decodeURIComponent(a.getAttribute('href'))")
        .startswith("records/esc10-mfcc-swishnet-wide-f0")
    )
    page.get_by_role("button", name="Copy CSV").click()
    rows = list(csv.reader(io.StringIO(page.get_by_label("CSV of what is shown").input_value())))
    assert rows[0][:3] == ["model", "accuracy, %", "rank"]
    assert [r[0].split(" ")[0] for r in rows[1:]] == ["swishnet", "swishnet-wide"]
    assert rows[2][1] == "74.2 [68.9, 78.8]"
    address, before = page.url, page.locator("table.main").inner_text()
    again = visit(address, viewport={"width": 1400, "height": 1200})
    assert again.locator("table.main").inner_text() == before
    assert again.get_by_label("Axis").input_value() == page.get_by_label("Axis").input_value()
    assert again.get_by_role("region", name="Evidence").inner_text() == evidence
    assert again.locator("tr.pinned").count() == 1
    assert re.search(r"b0\.max-int8=128000.*b0\.max-macs=30000000", again.url)


@pytest.mark.slow
def test_an_address_keeps_the_order_of_equal_rows_and_what_is_open(visit, small_page):
    from playwright.sync_api import expect

    page = visit(small_page, viewport={"width": 1400, "height": 1200})
    heads = page.locator("table.main thead")
    heads.get_by_role("button", name="parameters").click()
    heads.get_by_role("button", name="rank", exact=True).click()
    row(page, "cnn").locator("td").first.click()
    for words in ("Folds and classes of", "Learning curves of", "Win probabilities"):
        page.locator(".panel summary", has_text=words).click()
    expect(page).to_have_url(re.compile("view=0.2.3"))
    again = visit(page.url, viewport={"width": 1400, "height": 1200})
    assert again.locator("table.main").inner_text() == page.locator("table.main").inner_text()
    for name in ("Evidence", "All rows"):
        assert again.get_by_role("region", name=name).inner_text() == page.get_by_role("region", name=name).inner_text()
    again.locator(".panel summary", has_text="Win probabilities").click()
    expect(again).to_have_url(re.compile("view=0.2(&|$)"))


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 768, 1400])
@pytest.mark.parametrize("name", ["esc10", "swishnet-musan-sample"])
def test_no_words_of_a_plot_are_cut_off(visit, name, width):
    page = visit(WHOLE.with_name(f"{name}.html"), viewport={"width": width, "height": 900})
    page.locator("table.main tbody tr").filter(has_text="swishnet").first.locator("td").first.click()
    page.locator(".panel summary", has_text="Learning curves").first.click()
    axes = page.get_by_label("Axis").first
    for axis in range(axes.locator("option").count()):
        axes.select_option(str(axis))
        outside = page.evaluate(
            """() => { document.querySelectorAll(".point").forEach(point => point.classList.add("hot"));
            return [...document.querySelectorAll("svg.plot text")].filter(text => {
              const a = text.getBoundingClientRect(), b = text.ownerSVGElement.getBoundingClientRect();
              return a.left < b.left || a.right > b.right || a.top < b.top || a.bottom > b.bottom;
            }).map(text => text.textContent); }"""
        )
        assert outside == []


@pytest.mark.slow
def test_a_run_has_a_view_and_an_address(visit, board, small_page):
    page = visit(small_page, viewport={"width": 1400, "height": 1200})
    row(page, "cnn-cqt").locator("td").first.click()
    kept = next(r for r in board.rows if r.label == "cnn-cqt").records[2]
    page.get_by_role("button", name=f"Show the run {kept.key}").press("Enter")
    shown = page.get_by_role("region", name="Run", exact=True)
    words = shown.inner_text()
    assert words.startswith("cnn-cqt on cqt, fold 2, seed 0")
    assert f"accuracy, %: {100 * kept.scores['accuracy']:.1f}" in words
    assert f"bench show {kept.key}" in words
    assert shown.locator(".curve-val").count() == 1
    matrix = shown.get_by_role("table", name=re.compile("Confusion matrix"))
    cells = [each.inner_text().split("\t")[1:] for each in matrix.locator("tbody tr").all()]
    assert [[0 if n == "·" else int(n) for n in line] for line in cells] == [list(line) for line in kept.confusion]
    assert shown.get_by_role("table", name="Hardest test clips").locator("tbody tr").count() == 20
    for address in (page.url, f"file://{small_page}#run={kept.key}"):
        again = visit(address, viewport={"width": 1400, "height": 1200})
        assert again.get_by_role("region", name="Run", exact=True).inner_text() == words
    shown.get_by_role("button", name="Close the run").click()
    assert shown.count() == 0


@pytest.mark.slow
def test_everything_is_reached_by_keyboard(visit, small_page):
    page = visit(small_page, viewport={"width": 1400, "height": 1200})
    row(page, "cnn-wide").locator("td").first.focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowUp", "ArrowLeft", "Enter"):
        page.keyboard.press(key)
    assert "accuracy, % of cnn-wide on logmel-20ms: 88.8" in page.get_by_role("region", name="Evidence").inner_text()
    assert page.evaluate("document.activeElement.tagName") == "TD"
    page.locator(".point").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("tr.pinned").count() == 1
    assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
    row(page, "cnn-cqt").locator(".pin").focus()
    page.keyboard.press("Space")
    assert page.locator(".difference").is_visible()
    slider = page.locator("input[type=range]").first
    slider.focus()
    for _ in range(40):
        page.keyboard.press("ArrowLeft")
    assert page.locator("table.main tbody tr:visible").count() < 6
    page.locator(".panel summary", has_text="Confusion matrix of").focus()
    wrong = page.locator(".panel button[aria-label*='helicopter predicted as rain']")
    if not wrong.is_visible():
        page.keyboard.press("Enter")
    wrong.focus()
    page.keyboard.press("Enter")
    assert page.get_by_role("table", name="helicopter predicted as rain, the hardest first").is_visible()
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").endswith("helicopter predicted as rain")
    for words in ("Folds and classes of", "Learning curves of", "Win probabilities"):
        page.locator(".panel summary", has_text=words).focus()
        page.keyboard.press("Enter")
    assert page.locator(".curve-val").count() == 5
    grid = page.get_by_role("table", name=re.compile("per class and fold"))
    assert grid.locator("thead th").count() == 7
    assert page.get_by_role("table", name=re.compile("Per cent of draws")).locator("tbody tr").count() == 6


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1400, "dark"), (1600, "light")])
def test_no_column_of_the_whole_page_is_clipped(visit, width, scheme):
    page = visit(WHOLE, viewport={"width": width, "height": 900}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if width >= 1400:
        assert page.evaluate("[...document.querySelectorAll('.wide')].every(e => e.scrollWidth <= e.clientWidth)")


@pytest.mark.slow
def test_without_a_script_the_table_stands_and_opens_its_rows(visit):
    page = visit(WHOLE, viewport={"width": 1400, "height": 900}, java_script_enabled=False)
    assert page.locator("table.main tbody tr:visible").count() == 20
    assert page.locator("svg.plot:visible").count() == 1
    assert page.get_by_text("Plots against parameters and latency are in the folder plots.").is_visible()
    assert not page.locator("#r0-3").is_visible()
    row(page, "cnn-wide").get_by_role("link", name="cnn-wide").click()
    assert page.locator("#r0-3").is_visible()
    assert "channels=[24, 48, 96, 192]" in page.locator("#r0-3").inner_text()


@pytest.mark.slow
def test_a_page_of_few_numbers_works(visit, tmp_path):
    """A page with a single row, with failed rows, and with nothing to compare or to draw."""
    for n, found in enumerate(
        (boards(record(run())), boards(*fused(0)), boards(record(run(), latencies=()), missing=[run("fc")]))
    ):
        path = tmp_path / f"{n}.html"
        path.write_text(render.html("t", found, "c"))
        page = visit(path)
        page.locator("table.main tbody tr .pin").first.click()
        page.locator("table.main tbody tr td").nth(1).click()
        assert page.get_by_role("region", name="Evidence").inner_text()


@pytest.mark.slow
def test_a_made_sound_is_heard(visit):
    page = visit(WHOLE.with_name("all.html"))
    play = page.get_by_role("button", name="Play bell-21-2").first
    play.click()
    assert play.get_attribute("aria-pressed") == "true"
    length, level = page.evaluate(
        """() => { const samples = samplesOf(BOARDS[0].sounds["bell-21-2"]);
        return [samples.length, Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length)]; }"""
    )
    assert length == 12_000
    assert level > 0.01
