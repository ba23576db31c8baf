import io
import random
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from fakes.boards import DATA, PLACE, SIZE, boards, csv_rows, everything, failure, fused, nasty, record, run, timing
from fakes.paths import TESTS
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.cells import cell_len
from rich.console import Console

from bench.cli.options import described
from bench.leaderboard import render
from bench.leaderboard.board import leaderboards, summary
from bench.leaderboard.render.html import page_file
from bench.leaderboard.render.text import html as html_text
from bench.leaderboard.render.text import md, plain, three
from bench.records import Recipe


def test_mean_interval_rank_and_columns_hand_worked():
    cnn = [
        record(run(fold=f), a, seconds={"train": 10.0 * (f + 1)}) for f, a in enumerate([0.75, 0.75, 0.8, 0.85, 0.85])
    ]
    fc = [record(run("fc", f), 0.9) for f in range(5)]
    (board,) = boards(*cnn, *fc)
    first, second = board.rows
    assert (first.label, first.rank, first.interval) == ("fc", 1, (pytest.approx(0.9), pytest.approx(0.9)))
    assert (second.label, second.rank, second.done, second.expected) == ("cnn", 2, 5, 5)
    assert second.scores["accuracy"] == pytest.approx(0.8)
    assert second.scores["macro_f1"] == pytest.approx(0.4)
    assert second.scores["mAP"] is None
    half = 2.776445 * 0.05 / 5**0.5  # t(4) s / sqrt(n)
    assert second.interval == pytest.approx((0.8 - half, 0.8 + half))
    assert second.interval_over == "cells"
    assert second.train_seconds == 30
    assert board.metrics == ("accuracy", "macro_f1", "nll")
    assert (board.folds, board.folds_official, board.seeds) == ((0, 1, 2, 3, 4), 5, (0,))
    assert "80.0 [73.8, 86.2]" in render.markdown("t", (board,), "c")


def test_one_cell_shows_its_own_bootstrap_interval():
    (board,) = boards(record(run(), 0.8))
    assert (board.rows[0].interval, board.rows[0].interval_over) == ((pytest.approx(0.7), pytest.approx(0.9)), "groups")
    assert "over the sources of the test clips" in render.markdown("t", (board,), "c")
    (without,) = boards(record(run(), 0.8, intervals={}))
    assert without.rows[0].interval is None
    assert "| 80.0 |" in render.markdown("t", (without,), "c")


def test_an_interval_stays_within_0_and_1():
    (board,) = boards(record(run(fold=0), 1.0), record(run(fold=1), 0.5))
    assert board.rows[0].interval == (0.0, 1.0)


def test_records_from_before_splits_of_own_clips_had_words_of_their_own_stay_comparable():
    after = "; test = k, validation = k + 1"
    old = replace(DATA, split=f"own clips: the table's folds, or else 5 folds grouped by source{after}")
    for words in ("own clips: the given folds", "own clips: 5 folds grouped by source"):
        new = replace(DATA, split=words + after)
        (board,) = boards(record(run("fc"), 0.9, data=old), record(run("cnn"), 0.8, data=new))
        assert [row.rank for row in board.rows] == [1, 2]
    other = replace(DATA, split=f"own clips: 4 folds grouped by source{after}")
    (board,) = boards(record(run("fc"), 0.9, data=old), record(run("cnn"), 0.8, data=other))
    assert sorted((row.rank is None) for row in board.rows) == [False, True]


def test_equal_scores_share_a_rank():
    (board,) = boards(record(run("a1"), 0.9), record(run("b"), 0.9), record(run("c"), 0.5))
    assert [(row.label, row.rank) for row in board.rows] == [("a1", 1), ("b", 1), ("c", 3)]


def test_a_missing_or_failed_fold_is_not_ranked_and_named():
    full = [record(run("fc", f), 0.1) for f in range(5)]
    missing = [record(run(fold=f), 0.99) for f in range(4)]
    failed = [record(run("ltc", f), 0.98) for f in range(4)] + [
        failure(run("ltc", 4), message="loss is nan\nat step 3")
    ]
    (board,) = boards(*full, *missing, *failed, missing=[run(fold=4)])
    assert [(row.label, row.rank, row.done, row.expected) for row in board.rows] == [
        ("fc", 1, 5, 5),
        ("cnn", None, 4, 5),
        ("ltc", None, 4, 5),
    ]
    assert board.missing == 1
    assert board.failures == ((run("ltc", 4).key, failed[-1].error),)
    text = render.markdown("t", (board,), "c")
    assert "| 4/5 |" in text
    assert "| 4/5, 1 failed (RunError) |" in text
    assert f"{run('ltc', 4).key}: RunError: loss is nan at step 3" in text
    assert "1 run has no record" in text


def test_a_system_that_lacks_a_fold_of_the_suite_is_not_ranked():
    (board,) = boards(record(run(fold=0), 0.9), record(run("fc", 0)), record(run("fc", 1)))
    assert [(row.label, row.rank, row.done, row.expected) for row in board.rows] == [
        ("fc", 1, 2, 2),
        ("cnn", None, 1, 2),
    ]


def test_no_record_at_all():
    (board,) = leaderboards([run()], {})
    (row,) = board.rows
    assert (row.rank, row.done, row.expected, row.scores["accuracy"]) == (None, 0, 1, None)
    for text in everything((board,)):
        assert "0/1" in text or ",0,1,0," in text
    assert everything(())[1].count("\n") == 1


def test_a_score_that_is_undefined_in_one_cell_is_not_averaged_over_the_others():
    (board,) = boards(record(run(fold=0), 0.9), record(run(fold=1), scores={"accuracy": None}, intervals={}))
    assert (board.rows[0].rank, board.rows[0].scores["accuracy"]) == (None, None)
    assert "accuracy is undefined" in board.rows[0].flags


def test_other_data_than_the_majority_is_shown_and_not_ranked():
    other = replace(DATA, manifest="m2", clips_available=400)
    cells = [record(run(m, f), 0.5) for m in ("fc", "ltc") for f in (0, 1)]
    odd = [record(run(fold=0), 0.9), record(run(fold=1), 0.9, data=other)]
    (board,) = boards(*cells, *odd)
    assert [(row.label, row.rank) for row in board.rows] == [("fc", 1), ("ltc", 1), ("cnn", None)]
    assert board.rows[2].flags == ("data differ from the other systems' in fold 1",)
    assert board.data == (DATA,)
    assert "- **cnn on logmel**: not ranked: data differ" in render.markdown("t", (board,), "c")
    # one against one: the more complete data are the reference
    (board,) = boards(record(run("fc"), 0.9), record(run(), 0.5, data=other))
    assert [(row.label, row.rank) for row in board.rows] == [("cnn", 1), ("fc", None)]


def test_the_same_clips_split_otherwise_are_other_data():
    cells = [record(run(m), 0.5) for m in ("fc", "ltc")]
    (board,) = boards(*cells, record(run(), data=replace(DATA, clips={"train": 320, "val": 40, "test": 40})))
    assert board.rows[-1].rank is None
    assert board.rows[-1].flags


def test_data_may_differ_from_fold_to_fold():
    cells = [record(run(m, f), 0.5, data=replace(DATA, manifest=f"m{f}")) for m in ("fc", "ltc") for f in (0, 1)]
    (board,) = boards(*cells)
    assert {row.rank for row in board.rows} == {1}


def test_labels_tell_systems_of_one_name_apart_by_what_differs():
    small = record(run("ltc", arguments={"units": 32, "depth": 2}), 0.5)
    large = record(run("ltc", arguments={"units": 64, "depth": 2}), 0.6)
    long = record(run("ltc", arguments={"units": 64, "depth": 2}, recipe=Recipe(epochs=99)), 0.7)
    (board,) = boards(small, large, long, record(run("cnn", arguments={"width": 2}), 0.4))
    assert [row.label for row in board.rows] == [
        "ltc (depth=2, units=64, epochs=99)",
        "ltc (depth=2, units=64)",
        "ltc (depth=2, units=32)",
        "cnn (width=2)",
    ]


def test_one_model_on_two_front_ends_is_two_rows():
    (board,) = boards(record(run(), 0.5), record(run(frontend="mfcc"), 0.6))
    assert [(row.label, row.frontend, row.rank) for row in board.rows] == [("cnn", "mfcc", 1), ("cnn", "logmel", 2)]


def test_a_fusion_is_one_system_over_its_folds_and_never_shows_keys():
    found = boards(*fused(0), *fused(1))
    row = found[0].rows[0]
    assert (row.label, row.rank, row.done, row.expected) == ("fusion-ds", 1, 2, 2)
    assert row.members == ("cnn on logmel", "ltc (units=8) on logmel")
    assert row.conflict == pytest.approx(0.3)
    for text in everything(found)[:2]:
        assert "-f0-s0-" not in text


def test_two_fusions_of_one_method_are_told_apart_by_their_members():
    members = [run(m) for m in ("cnn", "ltc", "fc")]
    pair = run("fusion-ds", frontend="none", arguments={"members": [m.key for m in members[:2]]})
    three = run("fusion-ds", frontend="none", arguments={"members": [m.key for m in members]})
    (board,) = boards(*map(record, members), record(pair, 0.95), record(three, 0.9))
    assert [row.label for row in board.rows[:2]] == [
        "fusion-ds (of cnn + ltc)",
        "fusion-ds (of cnn + ltc + fc)",
    ]


def test_members_on_several_front_ends_are_named_with_theirs():
    members = [run(), run(frontend="mfcc"), run("fc")]
    pair = run("fusion-ds", frontend="none", arguments={"members": [m.key for m in members[:2]]})
    other = run("fusion-ds", frontend="none", arguments={"members": [m.key for m in members[1:]]})
    (board,) = boards(*map(record, members), record(pair, 0.95), record(other, 0.9))
    assert [row.label for row in board.rows[:2]] == [
        "fusion-ds (of cnn on logmel + cnn on mfcc)",
        "fusion-ds (of cnn on mfcc + fc)",
    ]


def test_a_member_or_a_teacher_outside_the_suite_is_called_by_its_key():
    key = run().key
    (board,) = boards(
        record(run("fusion-ds", frontend="none", arguments={"members": [key, run("fc").key]})),
        record(run("fc")),
        record(run("swishnet", recipe=Recipe(teacher=key)), 0.9),
    )
    assert [row.label for row in board.rows] == [f"swishnet (teacher={key})", "fc", "fusion-ds"]
    assert board.rows[2].members == (key, "fc on logmel")


def test_a_student_is_one_system_over_its_folds_and_names_its_teacher():
    def cell(fold, **recipe):
        return record(run("swishnet", fold, recipe=Recipe(**recipe)))

    teachers = [record(run("cnn", fold), 0.9) for fold in (0, 1)]
    alone = [cell(fold) for fold in (0, 1)]
    taught = [cell(fold, teacher=t.key, teacher_temperature=4.0) for fold, t in enumerate(teachers)]
    (board,) = boards(*teachers, *alone, *taught)
    assert [(row.label, row.done) for row in board.rows] == [("cnn", 2), ("swishnet", 2), ("swishnet (teacher=cnn)", 2)]
    cold = [cell(fold, teacher=t.key, teacher_temperature=1.0) for fold, t in enumerate(teachers)]
    (board,) = boards(*teachers, *alone, *taught, *cold)
    assert [row.label for row in board.rows][2:] == [
        "swishnet (teacher=cnn, teacher_temperature=1.0)",
        "swishnet (teacher=cnn, teacher_temperature=4.0)",
    ]
    for text in everything((board,))[:2]:
        assert "-f0-s0-" not in text


def test_a_fusion_shows_the_sum_of_its_members_latencies_and_tells_what_they_take_side_by_side():
    both = (timing(30.0, combined="sum"), timing(20.0, "B", combined="parallel"))
    *members, fusion = fused(0)
    found = boards(*members, replace(fusion, latencies=both))
    row = found[0].rows[0]
    assert (row.cpu, row.cpu_parallel) == both
    text = render.markdown("t", found, "c")
    assert "| 30.0 / 60.0 (A) |" in text
    assert (
        "CPU ms is the sum over its members, on the fold with the middle sum; "
        "with the members in parallel: 20.0 / 40.0 (B)" in text
    )
    line = next(line for line in csv_rows(found) if line["model"] == "fusion-ds")
    assert (line["cpu_p50_ms"], line["cpu_parallel_p50_ms"], line["gpu_parallel_p50_ms"]) == ("30", "20", "")


def test_datasets_and_their_arguments_are_boards_of_their_own():
    found = boards(
        record(run(dataset="esc50")),
        record(run()),
        record(run(data={"seconds": 1})),
        record(run(model="fc", dataset="esc50")),
    )
    assert [board.name for board in found] == ["esc50", "esc10", "esc10 (seconds=1)"]
    assert [len(board.rows) for board in found] == [2, 1, 1]


def test_multi_label_ranks_by_map():
    scores = {"mAP": 0.3, "mAUC": 0.9, "d_prime": 1.812}
    (board,) = boards(
        record(run(dataset="synthetic-tags"), scores=scores, defined={"mAP": (511, 527), "mAUC": (511, 527)})
    )
    assert (board.primary, board.task, board.metrics) == ("mAP", "multi", ("mAP", "mAUC", "d_prime"))
    assert "mAP is the mean over 511 of 527 classes; it is undefined for the other classes." in board.notes
    assert "| 90.0 | 1.812 |" in render.markdown("t", (board,), "c")


def test_latency_is_the_middle_one_that_is_ranked_at_the_fewest_threads():
    noisy, four = timing(1.0, "C"), timing(2.0, threads=4)
    part = timing(0.1, scope="model")
    gpu = timing(0.5, device_type="cuda", device="GPU")
    cells = [record(run(fold=f), latencies=(timing(10.0 + f, "AB"[f % 2]), noisy, four, part, gpu)) for f in range(5)]
    row = boards(*cells)[0].rows[0]
    assert row.cpu == timing(12.0)
    assert row.gpu == gpu


def test_of_two_latencies_the_slower_is_shown():
    (board,) = boards(record(run(fold=0), latencies=(timing(10.0),)), record(run(fold=1), latencies=(timing(11.0),)))
    assert board.rows[0].cpu == timing(11.0)


def test_what_was_timed_on_a_slower_machine_says_so():
    fast, slow, unsure = timing(sentinel_ms=0.2), timing(sentinel_ms=0.3), timing(sentinel_drift=-0.2, sentinel_ms=0.2)
    found = boards(*(record(run(m), latencies=(t,)) for m, t in (("cnn", fast), ("fc", slow), ("ltc", unsure))))
    assert {row.label: row.cpu.grade for row in found[0].rows} == {"cnn": "A", "fc": "C", "ltc": "B"}
    text = render.markdown("t", found, "c")
    assert "- **ltc on logmel**: the machine's speed changed by more than 5 % while CPU ms was measured" in text
    early = render.markdown("t", boards(record(run(), latencies=(timing(),))), "c")
    assert "measured before reference timings were recorded" in early
    assert "measured before reference timings were recorded" not in text


def test_only_single_clips_in_eager_are_shown():
    others = (timing(1.0, backend="onnxruntime"), timing(1.5, batch=8), timing(0.1, scope="step"))
    (board,) = boards(record(run(), latencies=(*others, timing(9.0))), record(run("fc"), latencies=others))
    assert {row.label: row.cpu for row in board.rows} == {"cnn": timing(9.0), "fc": None}


def test_latencies_of_another_device_are_flagged():
    cells = [record(run(m)) for m in ("fc", "ltc")] + [record(run(), latencies=(timing(device="Old"),))]
    (board,) = boards(*cells)
    flags = {row.label: row.flags for row in board.rows}
    assert flags["fc"] == flags["ltc"] == ()
    assert flags["cnn"] == ("CPU latency on Old, 1 thread, float32, eager, clips of 5 s",)


def test_a_dirty_tree_and_differing_commits_are_shown():
    (board,) = boards(
        record(run(), environment=replace(PLACE, dirty=True, commit="fedcba9876543210")), record(run("fc"))
    )
    flags = {row.label: row.flags for row in board.rows}
    assert flags == {"cnn": ("the working tree had uncommitted changes",), "fc": ()}
    assert board.notes == ("The runs come from 2 commits: 0123456789, fedcba9876.",)
    text = render.markdown("t", (board,), "c")
    assert "- **cnn on logmel**: the working tree had uncommitted changes" in text
    assert "commit 0123456789, fedcba9876 (with uncommitted changes)" in text
    assert (
        "Processor Z, 2 cores, no GPU; 1 run at a time, 1 thread each; Linux x86_64; Python 3.11.7, torch 2.13.0"
        in text
    )


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


def test_grade_c_is_marked_and_greyed():
    found = boards(record(run(), latencies=(timing(1.234, "C"),)))
    assert "| 1.23 / 2.47 (C) |" in render.markdown("t", found, "c")
    assert '<td class="grey long" data-number="1.234">1.23 / 2.47 (C)</td>' in render.html("t", found, "c")


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


def test_summary_and_terminal():
    found = boards(record(run("[red]x"), 0.8), record(run("fc"), 0.9))
    ((dataset, columns, rows),) = [table.columns_and_rows() for table in summary(found)]
    assert dataset == "esc10"
    assert columns[:4] == ("rank", "model", "frontend", "accuracy")
    assert [row[:4] for row in rows] == [(1, "fc", "logmel", 0.9), (2, "[red]x", "logmel", 0.8)]
    assert {len(row) for row in rows} == {len(columns)}
    console = Console(width=200, file=io.StringIO())
    for table in render.terminal(found):
        console.print(table)
    printed = console.file.getvalue()
    assert "[red]x" in printed
    assert "80.0 [70.0, 90.0]" in printed
    assert "54.9 M" in printed


def lines_of(found, width, columns=80):
    """The printed lines, on a console that is `columns` wide, of tables for lines of `width` characters."""
    console = Console(width=columns, file=io.StringIO(), soft_wrap=True)
    for part in render.terminal(found, width, "runs/esc10.md"):
        console.print(part)
    return console.file.getvalue().splitlines()


@pytest.fixture
def wide():
    """A leaderboard whose short table needs more than 80 characters, and fewer than 120."""
    return boards(
        record(run("cnn", frontend="logmel-20ms"), 0.8), record(run("wavegram-logmel-cnn", frontend="logmel"), 0.9)
    )


def words(line):
    return " ".join(line.split())


def test_a_piped_table_is_whole_whatever_the_consoles_width(wide):
    piped = lines_of(wide, None, columns=40)
    assert piped == lines_of(wide, None, columns=300)
    assert words(piped[1]) == "rank model front-end accuracy, % parameters MACs CPU ms, p50 / p90 runs"
    assert words(piped[3]) == "1 wavegram-logmel-cnn logmel 90.0 [80.0, 100.0] 54.9 M 47.1 G 12.3 / 24.7 (A) 1/1"
    assert 80 < max(map(len, piped)) <= 120
    assert "Not shown" not in "".join(piped)


def test_120_columns_take_the_whole_table(wide):
    assert lines_of(wide, 120, columns=120) == lines_of(wide, None)


def test_80_columns_leave_whole_columns_out_and_fold_no_cell(wide):
    printed = lines_of(wide, 80)
    assert max(map(len, printed)) <= 80
    assert words(printed[1]) == "rank model front-end accuracy, % parameters runs"
    assert words(printed[3]) == "1 wavegram-logmel-cnn logmel 90.0 [80.0, 100.0] 54.9 M 1/1"
    assert words(printed[4]) == "2 cnn logmel-20ms 80.0 [70.0, 90.0] 54.9 M 1/1"
    assert words(" ".join(printed[5:])) == "Not shown for lack of space: MACs; CPU ms, p50 / p90. See runs/esc10.md."


def test_a_very_narrow_terminal_shortens_names_and_no_number(wide):
    printed = lines_of(wide, 40, columns=40)
    assert max(map(len, printed)) <= 40
    assert words(printed[3]) == "1 wavegram-logm… 90.0 [80.0, 100.0]"
    assert words(printed[4]) == "2 cnn 80.0 [70.0, 90.0]"


@pytest.mark.slow
@given(st.text(max_size=60), st.integers(35, 200))
def test_no_line_of_a_table_is_longer_than_the_terminal(name, width):
    found = boards(record(run(name or "x"), 0.8), record(run("fc"), 0.9))
    assert max(cell_len(line) for line in lines_of(found, width, columns=width)) <= width


def test_a_description_goes_on_below_itself():
    words = "two-layer fully connected baseline, 1280-500-C on 10 x 128 input"
    assert described("fc", words, 80).splitlines() == [
        "  fc                     two-layer fully connected baseline, 1280-500-C on 10 x",
        "                         128 input",
    ]
    assert described("fc", words, 120) == described("fc", words) == f"  fc                     {words}"


@pytest.mark.process
def test_never_imports_torch():
    code = (
        "import sys, bench.leaderboard.render, bench.leaderboard.board, bench.statistics; print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "False\n"


@pytest.mark.skipif(shutil.which("node") is None, reason="no node on the path to run the page's script")
def test_the_pages_script_sorts(tmp_path):
    # a page of three cells and no more of a browser than the script asks for
    page = tmp_path / "page.js"
    page.write_text(
        """
        const cell = (text, number) => ({textContent: text, dataset: number === undefined ? {} : {number}});
        const rows = [["9", 9], ["none"], ["10", 10], ["-1", -1]].map(values => ({cells: [cell(...values)]}));
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
    assert done.stdout.strip() == "-1 9 10 none | 10 9 -1 none"
