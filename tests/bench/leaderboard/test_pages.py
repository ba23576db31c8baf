"""The pages of a store: plots, published figures, scores per class, index, and what `--check` finds."""

import contextlib
import csv
import fcntl
import io
import json
import os
import pty
import random
import re
import shutil
import struct
import subprocess
import sys
import termios
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.boards import PLACE, SIZE, boards, nasty, record, run, timing
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import catalog, suites
from bench.cli import main, sizes
from bench.errors import RunError
from bench.leaderboard import checks, clips, files, pareto, published, render
from bench.leaderboard.confusions import class_report
from bench.leaderboard.pareto import AXES, Plot, Point
from bench.leaderboard.render import svg
from bench.leaderboard.render.svg import WIDTH, text_width
from bench.records import Snapshot, Store, artifacts
from bench.tracking.charts import pareto_chart

SVG = "{http://www.w3.org/2000/svg}"


def sized(macs, **changes):
    return replace(SIZE, macs=macs, frontend_macs=1000, **changes)


def test_the_front_hand_worked():
    # cost 1 scores 5; 2 scores 4 (worse and dearer); 2 scores 7; 3 scores 7 (dearer); 9 scores 9
    assert pareto.front([(1, 5), (2, 4), (2, 7), (3, 7), (9, 9)]) == [True, False, True, False, True]
    assert pareto.front([(1, 5), (1, 5)]) == [True, True]
    assert pareto.front([(1, 5), (2, 4)], higher_is_better=False) == [True, True]


def test_time_lines_cost_macs_per_second_of_sound() -> None:
    suite = suites.read("segmentation")
    (board,) = files.boards(Snapshot(Store(Path("leaderboards")), suite.runs()), suite)
    plot = pareto.plots(board)[0]
    assert plot.axis.head == "MACs per second of sound, front-end included"
    costs = {point.system: point.cost for point in plot.points}
    rows = {row.label: row for row in board.rows}
    for name, cost in costs.items():
        line = rows[name].segmentation
        assert cost == line.macs_per_second + line.frontend_macs_per_second
    assert costs["cnn-narrow"] > 2 * rows["cnn-narrow"].complexity.macs  # windows overlap, and each is counted
    assert "per second of sound" in pareto_chart(plot).words["title"]


def test_a_plot_has_the_ranked_rows_with_the_front_ends_macs():
    (board,) = boards(
        record(run("cnn"), 0.9, complexity=sized(5000)),
        record(run("fc"), 0.8, complexity=sized(100)),
        record(run("ltc"), 0.7, complexity=sized(9000)),
        missing=[run("snn")],
    )
    macs, parameters, latency = pareto.plots(board)
    assert [plot.axis for plot in (macs, parameters, latency)] == list(AXES)
    assert [(p.label, p.cost, p.score, p.front) for p in macs.points] == [
        ("cnn", 6000, 0.9, True),
        ("fc", 1100, 0.8, True),
        ("ltc", 10000, 0.7, False),
    ]
    assert macs.points[0].interval == pytest.approx((0.8, 1.0))
    assert macs.points[0].full == "cnn on logmel"


def test_latencies_that_cannot_be_compared_are_left_out_and_counted():
    (board,) = boards(
        record(run("cnn"), 0.9),
        record(run("fc"), 0.8),
        record(run("ltc"), 0.95, latencies=(timing(1.0, "C"),)),
        record(run("snn"), 0.97, latencies=(timing(1.0, device="another"),)),
        record(run("cfc"), 0.99, latencies=()),
    )
    plot = pareto.plots(board)[-1]
    assert sorted(p.label for p in plot.points) == ["cnn", "fc"]
    assert plot.left_out == "1 not timed, 1 timed differently, 1 timed with grade C"
    assert "not shown: 1 not timed" in svg(plot, "light")


def test_systems_of_one_model_have_labels_of_their_own():
    (board,) = boards(
        *(record(run(arguments={"channels": [24, 48, 96, 192], "width": w}), 0.5 + w / 100) for w in range(3)),
        record(run("fc"), 0.5),
    )
    labels = [p.label for p in pareto.plots(board)[0].points]
    assert len(set(labels)) == 4
    assert "fc" in labels
    assert all(len(label) <= 26 for label in labels)


point = st.builds(
    Point,
    label=st.text(st.characters(codec="utf-8"), min_size=1, max_size=26),
    system=st.text(max_size=40),
    frontend=st.just("none"),
    cost=st.floats(1e-3, 1e12),
    score=st.floats(0, 1),
    interval=st.none(),
    front=st.booleans(),
)
plots = st.builds(
    Plot,
    dataset=st.text(max_size=60),
    metric=st.just("accuracy"),
    axis=st.sampled_from(AXES),
    points=st.lists(point, min_size=1, max_size=12).map(lambda ps: (replace(ps[0], front=True), *ps[1:])),
    left_out=st.sampled_from(["", "3 not timed"]),
)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(plots)
def test_no_name_and_no_number_is_cut_or_lies_on_another(plot):
    picture = ET.fromstring(svg(plot, "dark"))
    height = float(picture.get("height"))
    boxes = []
    for text in picture.iter(f"{SVG}text"):
        kind = text.get("class", "").split()
        if {"name", "number"} & {*kind}:
            wide = text_width(text.text or "", bold="on" in kind)
            x, y = float(text.get("x")), float(text.get("y"))
            if "number" in kind:  # its x is the middle
                wide = wide * 10 / 11
                x -= wide / 2
            boxes.append((x, y - 9, x + wide, y + 2))
    assert len(boxes) == 2 * len(plot.points)
    for i, (left, top, right, bottom) in enumerate(boxes):
        assert left >= 0
        assert top >= 0
        assert right <= WIDTH
        assert bottom <= height
        for other in boxes[:i]:
            apart = other[2] <= left + 0.2 or other[0] >= right - 0.2
            assert apart or other[3] <= top + 0.2 or other[1] >= bottom - 0.2
    dots = [(float(dot.get("cx")), float(dot.get("cy"))) for dot in picture.iter(f"{SVG}circle")]
    assert not [(x, y) for left, top, right, bottom in boxes for x, y in dots if left < x < right and top < y < bottom]


def test_forty_systems_at_one_place_all_have_a_number_and_a_name():
    points = tuple(Point(f"system-{i}", f"system-{i}", "none", 1e6, 0.5, (0.4, 0.6), i == 0) for i in range(40))
    picture = svg(Plot("esc10", "accuracy", AXES[0], points, ""), "light")
    numbers = re.findall(r'class="number[^>]*>(\d+)<', picture)
    names = re.findall(r'>(\d+)</text>\n<text class="name[^>]*>system-(\d+)<', picture)
    assert numbers == [str(n) for n in range(1, 41)]
    assert names == [(str(n), str(n - 1)) for n in range(1, 41)]


def test_an_svg_is_text_only_and_says_what_a_point_is():
    _, records = nasty()
    (board,) = boards(*records)
    for plot in pareto.plots(board):
        for theme in ("light", "dark"):
            picture = ET.fromstring(svg(plot, theme))
            kinds = {each.tag.removeprefix(SVG) for each in picture.iter()}
            assert kinds <= {"svg", "style", "rect", "path", "text", "g", "title", "circle"}
            titles = [each.text for each in picture.iter(f"{SVG}title")]
            assert any(title.startswith("<script>alert(1)</script> on <script>") for title in titles)
            assert "script" not in kinds
    colours = {theme: set(re.findall(r"#[0-9a-f]{6}", svg(plot, theme))) for theme in ("light", "dark")}
    assert not colours["light"] & colours["dark"]


def test_published_figures_stand_below_with_their_source_and_have_no_rank():
    text = render.markdown("t", boards(record(run())), "c")
    before, _, after = text.partition("### Published results, on other protocols: not ranked")
    assert "| 1 | cnn |" in before
    assert "EnvNet" not in before
    line = next(line for line in after.splitlines() if line.startswith("| EnvNet-v2 + strong aug + BC |"))
    assert "| 91.4 |" in line  # Tokozume et al., table 2: 8.6 % error on ESC-10
    assert "arXiv:1711.10282" in line
    assert "| yes |" in line
    assert next(line for line in after.splitlines() if line.startswith("| SVM (MFCC+ZCR) |")).endswith("| no |")


def test_published_figures_of_one_system_share_a_row_and_are_sorted():
    found = published.systems("audioset", "mAP")
    cnn14 = [s for s in found if s.model == "PANNs CNN14" and s.protocol.startswith("train on full")]
    assert [s.scores for s in cnn14] == [{"mAP": 0.431, "mAUC": 0.973, "d_prime": 2.732}]
    assert cnn14[0].params == 80_753_615
    scores = [s.scores["mAP"] for s in found if "mAP" in s.scores]
    assert scores == sorted(scores, reverse=True)
    assert all(
        s.citation.strip("- ") and s.protocol for name in ("esc50", "musan") for s in published.systems(name, "x")
    )
    assert published.systems("synthetic", "accuracy") == ()


def confused(fold, table, names=("a", "b"), f1=(0.5, None)):
    return replace(record(run(fold=fold)), confusion=table, classes=names, per_class={"macro_f1": f1})


def test_the_first_rows_confusions_are_summed_and_classes_averaged_where_defined():
    records = [confused(0, ((3, 1), (0, 4))), confused(1, ((2, 2), (1, 3)), f1=(0.7, 0.9))]
    found = class_report("cnn", records, "single")
    assert found.confusion == ((5, 3), (1, 7))
    assert found.per_class["macro_f1"] == (pytest.approx(0.6), 0.9)
    assert found.confused() == [(0, 1), (1, 0)]
    text = render.markdown("t", boards(*records), "c")
    assert (
        "### Confusion matrix of cnn\n\n| true class | a | b |\n| :-- | --: | --: |\n| a | 5 | 3 |\n| b | 1 | 7 |"
        in text
    )
    assert "| b | 90.0 |\n| a | 60.0 |" in text


def test_many_classes_show_the_most_confused_pairs():
    names = tuple(f"c{i}" for i in range(60))
    table = [[0] * 60 for _ in names]
    for i in range(60):
        table[i][i] = 8
    table[3][4], table[5][6] = 8, 2
    rare = confused(0, tuple(map(tuple, table)), names, tuple(i / 100 for i in range(60)))
    text = render.markdown("t", boards(rare), "c")
    assert "| c3 | c4 | 8 | 50 |\n| c5 | c6 | 2 | 20 |" in text
    assert "2 of 2 pairs" in text
    assert "the best and the worst 10 of 60" in text
    assert "| c59 | 59.0 |" in text
    assert "| c30 | 30.0 |" not in text
    assert ">c30</td>" in render.html("t", boards(rare), "c")  # the page can filter, and shows all


def test_json_holds_what_csv_does():
    _, records = nasty()
    found = boards(*records)

    def refuse(name):
        raise ValueError(name)

    content = json.loads(render.json_text("t", found), parse_constant=refuse)
    rows = list(csv.DictReader(io.StringIO(render.csv_text(found))))
    assert len(content["leaderboards"][0]["rows"]) == len(rows)
    for one, other in zip(content["leaderboards"][0]["rows"], rows, strict=True):
        keys = one.pop("records")
        assert len(keys) == one["runs_done"]
        for name, text in other.items():
            value = one[name]
            plain = "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
            assert text.removeprefix("'") == plain.removeprefix("'")


SUITE = 'models = ["cnn", "fc"]\ndatasets = ["esc10"]\nfolds = [0, 1]\n'
README = """a
<!-- table few esc10 -->
<!-- end -->
<!-- plot few esc10 -->
<!-- end -->
<!-- plot few esc10 macs --><!-- end -->
z
"""


def draw(store: Store, suite: suites.Suite) -> None:
    """Draw a suite's pages, the index, and the README next to the store where there is one."""
    readme = store.root.parent / "README.md"
    files.draw(Snapshot(store, suite.runs()), suite, index=True, readme=readme if readme.exists() else None)


def test_a_page_names_a_suite_as_the_command_line_takes_it(tmp_path: Path) -> None:
    (tmp_path / "few.toml").write_text(SUITE)
    for name, argument in ((str(tmp_path / "few.toml"), "few.toml"), ("esc10", "esc10")):
        suite = suites.read(name)
        drawn = files.texts(suite, (), Store(tmp_path))
        for page in (f"{suite.name}.md", f"{suite.name}.html"):
            assert re.search(rf"bench run --suite {re.escape(argument)}(?=\s|<)", drawn[tmp_path / page])


@pytest.fixture
def published_store(tmp_path: Path) -> Path:
    root = tmp_path / "leaderboards"
    root.mkdir()
    (root / "few.toml").write_text(SUITE)
    (tmp_path / "README.md").write_text(README)
    store, grid = Store(root), suites.read(str(root / "few.toml"))
    for i, of in enumerate(grid.runs()):
        store.write(record(of, 0.6 + i / 20, complexity=sized(10**i), environment=PLACE))
    draw(store, grid)
    return root


def check(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What `--check` says is wrong; empty where nothing is."""
    monkeypatch.setattr(
        "sys.argv",
        ["bench", "leaderboard", "--check", "--store", str(root), "--readme", str(root.parent / "README.md")],
    )
    with contextlib.suppress(SystemExit):
        main()
    return " ".join(capsys.readouterr().err.split())


PAGES = [
    *("few.md", "few.csv", "few.json", "few.html", "README.md", "../README.md"),
    *("api/few.json", "api/index.json", "api/schema.json", "badges/few.svg", "board.html"),
    *("badges/few/cnn-on-logmel-20ms.svg", "badges/few/fc-on-logmel-1s.svg"),
    *(f"plots/few-pareto-{axis.name}-{theme}.svg" for axis in AXES for theme in ("light", "dark")),
]


@pytest.mark.slow
def test_check_finds_an_edit_of_any_page_a_dropped_record_and_orphans(published_store, monkeypatch, capsys):
    root = published_store
    said = lambda: check(root, monkeypatch, capsys).replace(" ", "")  # noqa: E731  a terminal breaks long paths
    assert {p.relative_to(root).as_posix() for p in root.rglob("*.*") if "records" not in p.parts} == {
        "few.toml",
        *(page for page in PAGES if not page.startswith("..")),
    }
    assert said() == ""
    for page in PAGES:
        path = root / page
        before = path.read_text()
        number = re.search(r"\d", before[before.index("<!-- table") + 20 :] if page == "../README.md" else before)
        at = number.start() + (before.index("<!-- table") + 20 if page == "../README.md" else 0)
        path.write_text(before[:at] + str((int(before[at]) + 1) % 10) + before[at + 1 :])
        assert Path(page).name in said(), page
        path.write_text(before)
    orphans = [
        root / name
        for name in ("old.csv", "plots/old-light.svg", "api/old.json", "badges/old.svg", "badges/few/old.svg")
    ]
    for path in orphans:
        path.write_text("x")
    found = said()
    for path in orphans:
        assert f"{path.name}isdrawnbynosuite" in found
        path.unlink()
    assert said() == ""
    gone = sorted((root / "records").iterdir())[0]
    gone.unlink()
    assert f"{gone.name}isgone:restoreit" in said()


def printed(command: list[str], columns: int | None) -> list[str]:
    """Return what a command prints, on a terminal of so many columns or into a pipe."""
    main, end = pty.openpty() if columns else os.pipe()
    if columns:
        fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    call = [sys.executable, "-c", "from bench.cli import main; main()", *command]
    with subprocess.Popen(call, stdout=end, stderr=subprocess.PIPE, env=environment | {"TERM": "xterm"}) as child:
        os.close(end)
        content = b""
        with contextlib.suppress(OSError):  # a terminal whose program ended cannot be read
            while more := os.read(main, 4096):
                content += more
        os.close(main)
        problem = child.communicate(timeout=300)[1].decode()
    assert child.returncode == 0, problem
    return re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", content.decode()).replace("\r", "").splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 120, None])
def test_a_run_with_nothing_to_do_prints_a_table_that_fits(published_store, tmp_path, columns):
    suite, data = published_store / "few.toml", tmp_path / "data"
    (data / "esc10").mkdir(parents=True)
    command = ["run", "--suite", str(suite), "--store", str(published_store), "--data-dir", str(data)]
    lines = printed([*command, "--wandb", "disabled"], columns)
    head = next(i for i, line in enumerate(lines) if line.startswith("rank"))
    cells = [line.split()[1:3] for line in lines[head + 2 : head + 4]]
    assert cells == [["fc", "logmel-1s"], ["cnn", "logmel-20ms"]]
    assert ("MACs" in lines[head]) == (columns != 80)
    if columns:
        assert max(map(len, lines[: head + 4])) <= columns
    assert any("Not shown for lack of space: " in line and "MACs" in line for line in lines) == (columns == 80)


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 120, None])
def test_a_list_breaks_no_word(columns):
    lines = printed(["list", "models"], columns)
    words = " ".join(" ".join(lines).split())
    assert all(entry.line in words for entry in catalog.MODELS.values())
    assert max(map(len, lines)) <= (columns or 1000)
    if columns is None:
        assert len(lines) == 1 + len(catalog.MODELS) + len(catalog.FUSIONS)


def test_a_readme_gets_the_table_and_the_plots_between_its_marks(published_store):
    text = (published_store.parent / "README.md").read_text()
    assert text.startswith("a\n<!-- table few esc10 -->\n\n| rank |")
    assert text.endswith("<!-- end -->\nz\n")
    addresses = re.findall(r'(?:src|srcset)="([^"]*)"', text)
    assert len(addresses) == 2 * 4  # three plots, and one of them again
    assert all((published_store.parent / address).exists() for address in addresses)
    page = (published_store / "few.md").read_text()
    assert all((published_store / a).exists() for a in re.findall(r'(?:src|srcset)="([^"]*)"', page))


def test_the_index_names_every_suite_with_its_best_row(published_store):
    store = Store(published_store)
    (published_store / "other.toml").write_text(SUITE)
    draw(store, suites.read(str(published_store / "other.toml")))
    text = (published_store / "README.md").read_text()
    assert text.index("[full table](few.md)") < text.index("[full table](other.md)")
    assert "| esc10 | fc | logmel-1s | accuracy, %: 70.0" in text  # (0.65 + 0.75) / 2
    assert checks.problems(store, [str(published_store / "few.toml")]) == []


@pytest.mark.parametrize("of_clips", [False, True])
def test_damaged_logits_or_clips_are_named_before_anything_is_written(published_store, of_clips):
    store = Store(published_store)
    grid = suites.read(str(published_store / "few.toml"))
    path = store.root / clips.FOLDER / "few.json"
    if not of_clips:
        path = store.artifacts(grid.runs()[0].key) / "logits.npz.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(artifacts.packed(b"x")[:-1])
    before = {page: page.read_bytes() for page in published_store.glob("few.*")}
    (published_store / "few.md").write_text("old")
    with pytest.raises(RunError, match=f"{re.escape(str(path))}.*restore it"):
        draw(store, grid)
    assert (published_store / "few.md").read_text() == "old"
    (published_store / "few.md").write_bytes(before[published_store / "few.md"])
    (said,) = checks.problems(store, [str(published_store / "few.toml")])
    assert str(path) in said
    assert "restore it" in said
    lines: list[str] = []
    files.draw(Snapshot(store, grid.runs()), grid, passed_over=lines)
    assert lines == [said]
    path.unlink()
    draw(store, grid)  # a run without logits is in the tables all the same
    assert before == {page: page.read_bytes() for page in published_store.glob("few.*")}


@pytest.mark.slow
def test_20_shuffles_of_the_records_give_the_same_bytes(tmp_path):
    path = tmp_path / "few.toml"
    path.write_text(SUITE.replace('["cnn", "fc"]', '["cnn", "fc", "ltc", "snn"]'))
    grid = suites.read(str(path))
    records = [
        replace(
            record(of, 0.5 + i / 30, complexity=sized(10 ** (i // 2 + 1))),
            confusion=((i, 1), (2, 3)),
            classes=("a", "b"),
            per_class={"macro_f1": (0.1 * i / 8, 1 / 3)},
        )
        for i, of in enumerate(grid.runs())
    ]
    seen = set()
    for seed in range(20):
        shuffled = records.copy()
        random.Random(seed).shuffle(shuffled)
        root = tmp_path / "leaderboards"
        shutil.rmtree(root, ignore_errors=True)
        for each in shuffled:
            Store(root).write(each)
        draw(Store(root), grid)
        content = {p.name: p.read_bytes() for p in root.rglob("*") if p.is_file() and p.suffix != ".toml"}
        seen.add(tuple(sorted((name, text) for name, text in content.items())))
    assert len(seen) == 1


@pytest.mark.slow
def test_the_complexity_page_counts_what_the_papers_publish(monkeypatch):
    small = [replace(table, rows=table.rows[-1:]) for table in published.sizes()[:1]]
    small += [replace(table, rows=(table.rows[6],)) for table in published.sizes()[1:2]]
    small += [replace(table, rows=table.rows[:2]) for table in published.sizes()[2:]]
    monkeypatch.setattr(published, "sizes", lambda: tuple(small))
    text = sizes.page("bench complexity-page")
    assert "| rann-8x4-4 | RANN-8x4-4 | 24,504,849 | 24,504,849 | 20.964 | 0.0903 | 20.964 | 20.964 |" in text
    assert "| mobilenet-v1 | MobileNetV1 | 4,796,303 | 4,796,303 | 0.740 | 0.0554 | 3.614 | 3.614 | 38.9 |" in text
    assert "| swishnet | SwishNet-slim | 5,483 | 5,483 | 0.000259 |" in text
    assert text.count("Parameters and multiply-adds equal the published figures in 1 of 1 rows") == 2
    assert text.count("Parameters equal the published figures in 2 of 2 rows") == 1


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.process
def test_a_browser_sorts_filters_hides_and_cuts_nothing(published_store, browser, width, scheme):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"file://{published_store}/few.html")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    cut = page.evaluate(
        """() => [...document.querySelectorAll("svg")].flatMap(svg => {
          const all = svg.getBoundingClientRect();
          return [...svg.querySelectorAll("text")].filter(text => text.getClientRects().length)
            .map(text => [text.textContent, text.getBoundingClientRect()])
            .filter(([_, b]) => b.left < all.left || b.right > all.right || b.top < all.top || b.bottom > all.bottom)
            .map(([words]) => words);
        })"""
    )
    assert cut == []
    table = page.locator("table", has_text="EnvNet").first  # the published figures
    total = table.locator("tbody tr").count()
    page.locator("input[type=search]").last.fill("EnvNet 2018")
    shown = table.locator("tbody tr:visible").count()
    assert 0 < shown < total
    assert page.get_by_text(f"{shown} of {total} rows").is_visible()
    page.locator(".tools summary").first.click()
    page.get_by_label("accuracy, %").first.uncheck()
    assert not table.locator("th").nth(1).is_visible()
    assert said == []
