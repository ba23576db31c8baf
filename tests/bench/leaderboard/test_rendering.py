"""Boards as CSV, Markdown and HTML."""

import random
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from fakes.boards import SIZE, boards, csv_rows, everything, nasty, record, run
from fakes.paths import TESTS
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bench.leaderboard import render
from bench.leaderboard.board import leaderboards
from bench.leaderboard.render.html import page_file
from bench.text import html as html_text
from bench.text import md, plain, three


@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_records_changes_no_byte(seed):
    _, records = nasty()
    runs = [r.run for r in records]
    shuffled = records.copy()
    random.Random(seed).shuffle(shuffled)
    assert shuffled != records
    table = {r.key: r for r in shuffled} | {run(fold=3).key: record(run(fold=3))}  # the last is no run of the suite
    assert everything(leaderboards(runs, table)) == everything(leaderboards(runs, {r.key: r for r in records}))


@pytest.mark.process
def test_hash_seed_and_locale_change_no_byte(tmp_path):
    script = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from fakes import boards as t\n"
        "text = ''.join(t.everything(t.boards(*t.nasty()[1])))\n"
        "import hashlib; print(hashlib.sha256(text.encode()).hexdigest())"
    )
    digests = set()
    for seed, locale in (("1", "C"), ("2", "de_DE.UTF-8")):
        environment = {"PYTHONHASHSEED": seed, "LC_ALL": locale, "TZ": "Asia/Tokyo" if seed == "1" else "UTC"}
        command = [sys.executable, "-c", script, str(TESTS)]
        digests.add(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)
    assert len(digests) == 1


def test_csv_is_raw_and_no_cell_is_a_formula():
    names, records = nasty()
    found = boards(*records)
    rows = csv_rows(found)
    assert len(rows) == len(found[0].rows)
    names_on_one_line = {re.sub(r"\s", " ", name) for name in names}
    assert {row["model"].removeprefix("'") for row in rows} >= names_on_one_line
    for row in rows:
        for value in row.values():
            assert not value.startswith(("=", "+", "-", "@", "\t")) or re.fullmatch(r"-?[\d.e-]+", value)
    best = next(row for row in rows if row["model"] == "fusion-ds")
    assert (best["accuracy"], best["parameters"], best["macs"], best["cpu_p50_ms"], best["cpu_grade"]) == (
        "0.9", "54912345", "47130000000", "12.34", "A",
    )  # fmt: skip
    assert best["gpu_p50_ms"] == best["mAP"] == ""


def test_a_negative_number_in_csv_stays_a_number():
    (row,) = csv_rows(boards(record(run(dataset="synthetic-tags"), scores={"mAP": 0.1, "d_prime": -0.25})))
    assert row["d_prime"] == "-0.25"


def test_markdown_shows_nasty_names_as_they_are():
    names, records = nasty()
    found = boards(*records)
    text = render.markdown("<i>|t", found, "bench run --suite x")
    page = MarkdownIt("commonmark").enable("table").render(text)
    tags = Page(page)
    assert not {"script", "img", "i", "b", "a", "em"} & set(tags.names)
    assert "\x1b" not in text
    assert tags.rows[0][:2] == ["rank", "model"]
    main = tags.rows[: 1 + len(found[0].rows)]  # the published figures come after
    assert {len(cells) for cells in main} == {len(main[0])}
    assert {cells[1] for cells in main} >= {re.sub(r"\s", " ", name) for name in names}
    assert tags.rows[len(main)][0] == "published system"


class Page(HTMLParser):
    """Tags, table rows and all text of a page."""

    def __init__(self, text):
        super().__init__()
        self.names, self.rows, self.text, self.attributes = [], [], "", []
        self._cell = None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.names.append(tag)
        self.attributes.append((tag, dict(attributes)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._cell = tag

    def handle_endtag(self, tag):
        if tag == self._cell:
            self._cell = None

    def handle_data(self, data):
        self.text += data
        if self._cell:
            self.rows[-1][-1] += data


def test_html_loads_nothing_and_shows_nasty_names_as_they_are():
    names, records = nasty()
    text = render.html("</title><script>", boards(*records), "bench run --suite 'x<y'")
    page = Page(text)
    assert [a.get("type") for tag, a in page.attributes if tag == "script"] == ["application/json", None]
    assert not {"img", "link", "iframe"} & set(page.names)
    assert not [a for _, a in page.attributes if {"src", "onclick", "style"} & set(a)]
    places = {a["id"] for _, a in page.attributes if "id" in a}
    for _, attributes in page.attributes:  # within the page, or a record next to it
        href = attributes.get("href", "records/x.json")
        assert href[1:] in places if href.startswith("#") else re.fullmatch(r"records/[^/:]+\.json", href)
    shown = [cells[0] for cells in page.rows if cells]
    for name in names:
        assert any(cell.startswith(re.sub(r"\s", " ", name)) for cell in shown)
    assert "bench run --suite 'x<y'" in page.text
    assert "prefers-color-scheme: dark" in text
    assert "default-src 'none'" in text


def test_section_says_what_the_data_are():
    text = render.markdown("A title", boards(record(run())), "bench run --suite esc10")
    assert text.startswith("# A title\n")
    for line in (
        "    bench run --suite esc10",
        "- **Split**: five official folds",
        "- **Clips**: 240 training, 80 validation and 80 test clips of 5 s; the test clips come from 40 sources",
        "- **Coverage**: 398 of 400 official clips",
        "- **Note**: two clips are gone",
        "- **Runs**: 1 of 5 folds (0), seeds 0",
    ):
        assert line in text.split("\n")
    (cells,) = [line for line in text.split("\n") if line.startswith("| 1 |")]
    assert cells == (
        "| 1 | cnn | logmel | 80.0 [70.0, 90.0] | \N{EN DASH} | 40.0 | 54.9 M | 1 | 47.1 G | 0 "
        "| 12.3 / 24.7 (A) | \N{EN DASH} | 0.00247 | 30.0 | 1/1 |"
    )


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00 k"),
        (999_499, "999 k"),
        (999_600, "1.00 M"),
        (54_912_345, "54.9 M"),
        (47_130_000_000, "47.1 G"),
    ],
)
def test_sizes_for_people(number, text):
    found = boards(record(run(), complexity=replace(SIZE, macs=number)))
    assert f"| 54.9 M | 1 | {text} | 0 |" in render.markdown("t", found, "c")


@given(st.floats(1e-6, 1e9))
def test_three_digits_are_the_number(value):
    text = three(value)
    assert "e" not in text
    assert float(text) == pytest.approx(value, rel=0.00501)


@pytest.mark.slow
@example("__0__")
@given(st.text(max_size=40) | st.text("[]()`*_~$#|\\<>&!:a \n", max_size=20))
def test_any_text_survives_markdown_and_html(name):
    shown = plain(name)
    assert "\n" not in shown
    shown.encode()
    rendered = MarkdownIt("commonmark").enable("table").render(f"| x{md(name)}x |\n| -- |\n")
    assert Page(rendered).rows == [[f"x{shown}x"]]
    assert Page(f"<table><tr><td>x{html_text(name)}x</td></tr></table>").rows == [[f"x{shown}x"]]


@pytest.mark.skipif(shutil.which("node") is None, reason="no node on the path to run the page's script")
def test_the_pages_script_sorts(tmp_path):
    # a page of three cells and no more of a browser than the script asks for
    page = tmp_path / "page.js"
    page.write_text(
        """
        const cell = (text, number) => ({textContent: text, dataset: number === undefined ? {} : {number}});
        const rows = [["9"], ["none"], ["ten", 10], ["-1", -1]].map(values => ({cells: [cell(...values)]}));
        let click; const set = {};
        const head = {
          querySelector: () => ({addEventListener: (_, f) => { click = f; }}),
          getAttribute: name => set[name],
          setAttribute: (name, value) => { set[name] = value; },
          removeAttribute: name => { delete set[name]; },
          classList: {contains: () => false},
        };
        const body = {rows, append: (...sorted) => { body.rows = sorted; }};
        const bare = () => ({addEventListener() {}, append() {}});
        const above = {before() {}};
        const table = {tHead: {rows: [{cells: [head]}]}, tBodies: [body], rows, parentElement: above};
        global.document = {querySelectorAll: () => [table], createElement: bare};
        """
        + page_file("page.js")
        + """
        const shown = () => body.rows.map(row => row.cells[0].textContent).join(" ");
        click(); const up = shown(); click(); console.log(up + " | " + shown());
        """
    )
    done = subprocess.run(["node", str(page)], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "-1 9 ten none | ten 9 -1 none"
