"""The numbers of a page's explorer, from the published records of ESC-10."""

import base64
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes.boards import boards, record, run
from scipy.signal import resample_poly

import bench
from bench import suites
from bench.errors import RunError
from bench.leaderboard import budgets, clips, files, render
from bench.leaderboard.compare import compare, p_value, points
from bench.leaderboard.render.explorer_data import DIGITS, _mirrored, encoded, explorer_data
from bench.records import Snapshot, Store, artifacts
from bench.statistics import Difference

STORE = Store(Path("leaderboards"))


@pytest.fixture(scope="module")
def published():
    """The board of ESC-10 and what the explorer knows of it."""
    suite = suites.read("esc10")
    found = files.boards(Snapshot(STORE, suite.runs()), suite)
    said = clips.collect(STORE, "esc10", (r for row in found[0].rows for r in row.records))
    return found[0], json.loads(explorer_data(found, said))[0]


def shares(text: str) -> list[float | None]:
    pairs = re.findall("..", text)
    return [None if p == ".." else (64 * DIGITS.index(p[0]) + DIGITS.index(p[1])) / 4095 for p in pairs]


def test_shares_are_two_digits_each():
    assert encoded([0.0, 1.0, None, 2.0, float("nan")]) == "AA__..__.."
    found = shares(encoded([0.0, 0.123, 0.9999, None]))
    assert found[:3] == pytest.approx([0.0, 0.123, 0.9999], abs=1 / 8000)
    assert found[3] is None


def test_every_pair_is_what_compare_says(published):
    board, data = published
    rows = [row for row in board.rows if row.rank is not None]
    table = [line.split(",") for line in data["pairs"].split(";")]
    assert len(table) == len(rows) == 20
    for i, line in enumerate(table):  # a page computes them from the other half, where they are the same
        for j in range(i):
            line[j] = line[j] or _mirrored(table[j][i])
    names = [row.full for row in rows]
    for k in range(20):  # 20 pairs, each row once on either side
        a, b = k, (7 * k + 3) % 20
        d = compare(board, names[a], names[b], STORE).difference
        mean, low, high = points(d)
        *shown, p = table[a][b].removeprefix("!").split(" ")
        for text, token in zip((mean, low, high), shown, strict=True):
            assert float(text) == pytest.approx(int(token) / 10)
            assert text.startswith("-") == token.startswith("-")
        assert p_value(d.p) == ("p < 0.001" if p == "<" else f"p = {int(p) / 1000:.3f}")
        assert table[a][b].startswith("!") == d.significant


def test_a_difference_that_is_almost_zero_keeps_its_sign():
    assert points(Difference(-0.0001, -0.012, 0.012, 0.9, 0.1)) == ("-0.0", "-1.2", "+1.2")


def test_clips_that_flip_are_those_of_the_logits(published):
    board, data = published
    rows = {row.full: i for i, row in enumerate(board.rows)}
    right = {}
    for name in ("cnn-wide on logmel-20ms", "cnn-cqt on cqt"):
        said = data["clips"]["said"][rows[name]]
        truth = [data["clips"]["groups"][group]["truth"] for group, _, _ in said]
        right[name] = [
            p == t
            for (_, predicted, _), ts in zip(said, truth, strict=True)
            for p, t in zip(predicted, ts, strict=True)
        ]
        score = next(row.scores["accuracy"] for row in board.rows if row.full == name)
        assert np.mean(right[name]) == pytest.approx(score)
    one, other = right.values()
    assert sum(a and not b for a, b in zip(one, other, strict=True)) == 23
    assert sum(b and not a for a, b in zip(one, other, strict=True)) == 15


def test_a_rows_evidence_is_its_records(published):
    board, data = published
    for row, shown in zip(board.rows, data["rows"], strict=True):
        assert [(r["fold"], r["seed"]) for r in shown["runs"]] == [(r.run.fold, r.run.seed) for r in row.records]
        assert np.mean([r["scores"][0] for r in shown["runs"]]) == pytest.approx(row.scores["accuracy"], abs=1e-4)
        assert np.sum(shown["confusion"]) == 400
        assert np.trace(shown["confusion"]) / 400 == pytest.approx(row.scores["accuracy"])
    costs = dict(
        zip((axis[0] for axis in data["axes"]), zip(*(row["costs"] for row in data["rows"]), strict=True), strict=True)
    )
    assert costs["parameters"] == tuple(row.complexity.parameters for row in board.rows)
    assert costs["cpu"][3] == pytest.approx(board.rows[3].cpu.p50_ms, rel=1e-5)
    curve = next(r for r in board.rows[3].records).curves["val_accuracy"]
    step = data["rows"][3]["runs"][0]["step"]
    assert shares(data["rows"][3]["runs"][0]["curve"]) == pytest.approx(list(curve)[::step], abs=1 / 8000)


def test_names_cannot_leave_the_data_block():
    found = boards(record(run("</script><script>alert(1)</script>")), record(run("fc")))
    assert "<" not in explorer_data(found)
    assert json.loads(explorer_data(found))[0]["rows"][0]["name"].startswith("</script>")


def test_every_published_page_is_below_300_kb():
    sizes = {path.name: path.stat().st_size for path in STORE.root.glob("*.html")}
    assert sizes
    assert {name: size for name, size in sizes.items() if size >= 300_000} == {}


def test_budgets_hand_worked():
    def sized(parameters, macs):
        base = record(run()).complexity
        return replace(base, parameters=parameters, macs=macs, frontend_macs=10**9)

    (board,) = boards(
        record(run("cnn"), 0.9, complexity=sized(128_001, 1)),
        record(run("fc"), 0.8, complexity=sized(128_000, 30_000_000)),
        record(run("ltc"), 0.7, complexity=sized(1, 30_000_001)),
        record(run("snn"), 0.6, complexity=sized(1, 1)),
    )
    small, quick = budgets.BUDGETS
    assert [row.model for row in budgets.within(board, small)] == ["fc", "snn"]
    assert budgets.within(board, quick) == []  # 12.34 ms each
    text = render.markdown("t", (board,), "c")
    assert "### Within 128 kB of int8 weights and 30 MMACs" in text
    assert "2 of 4 ranked rows fit" in text
    assert json.loads(render.json_text("t", (board,)))["leaderboards"][0]["budgets"][small.name] == [
        "fc on logmel", "snn on logmel",
    ]  # fmt: skip


def test_validation_scores_stand_in_every_table():
    curves = {"val_accuracy": (0.25, 0.75, 0.5)}
    found = boards(*(record(run("cnn", f), 0.8, curves=curves, best_epoch=1 + f) for f in (0, 1)))
    assert found[0].rows[0].validation == 0.625
    assert "| validation accuracy, % |" in render.markdown("t", found, "c")
    assert '<td data-number="0.625">62.5</td>' in render.html("t", found, "c")
    assert json.loads(render.json_text("t", found))["leaderboards"][0]["rows"][0]["validation"] == 0.625
    assert ",validation," in render.csv_text(found).splitlines()[0]


def saved(store: Store, found, logits, targets, ids) -> None:
    folder = store.artifacts(found.key)
    folder.mkdir(parents=True)
    np.savez(folder / artifacts.LOGITS, logits=logits, targets=targets, test_ids=np.array(ids))


def test_clips_come_from_logits_and_are_kept_for_a_published_store(tmp_path):
    private, public = Store(tmp_path / "runs"), Store(tmp_path / "leaderboards")
    found = replace(record(run()), confusion=((1, 1), (0, 1)), classes=("a", "b"))
    saved(private, found, np.log([[0.9, 0.1], [0.25, 0.75], [0.4, 0.6]]), np.array([0, 1, 0]), ["z", "y", "x"])
    expected = clips.RunClips(("x", "y", "z"), (0, 1, 0), (1, 1, 0), (40, 75, 90))
    assert clips.collect(private, "s", [found]) == {found.key: expected}
    assert clips.collect(private, "s", [found], room=2 + clips._clips(found)) == {found.key: expected}
    assert clips.collect(private, "s", [found], room=clips._clips(found) - 1) == {}
    assert clips.publish(private, public, "s", [found]) == 1
    assert clips.collect(public, "s", [found]) == {found.key: expected}
    attached = Store(tmp_path / "attached")
    path = private.artifacts(found.key) / artifacts.LOGITS
    attached.artifacts(found.key).mkdir(parents=True)
    (attached.artifacts(found.key) / "logits.npz.gz").write_bytes(artifacts.packed(path.read_bytes()))
    assert clips.collect(attached, "s", [found]) == {found.key: expected}
    other = replace(found, confusion=((2, 0), (0, 1)))  # the clips of another training
    assert clips.collect(public, "s", [other]) == {}
    (public.root / clips.FOLDER / "s.json").write_text('[{"ids": 1}]')
    with pytest.raises(RunError, match=r"s\.json is damaged or cannot be read \(it is no file of clips\): restore it"):
        clips.collect(public, "s", [found])


def test_the_published_clips_are_of_the_published_records(published):
    _, data = published
    assert all(run is not None for said in data["clips"]["said"] for run in said)


def test_the_sounds_of_a_page_are_those_of_the_dataset():
    kept = json.loads(Path("bench/leaderboard/render/sounds.json").read_text())["synthetic"]
    data = bench.create_datamodule("synthetic")
    name, text = "bell-21-2", kept["bell-21-2"]
    source = 10 * 20 + list(data.classes).index("bell")
    original = data._record([list(data.classes).index("bell")], source, 1) / 32768
    expected = resample_poly(original, 1, 2)
    found, guess, index = [], 0, 0
    steps = [min(32767, round(7 * 1.1**n)) for n in range(89)]
    for code in (half for byte in base64.b64decode(text) for half in (byte & 15, byte >> 4)):
        change = steps[index] * (2 * (code & 7) + 1) // 8
        guess += -change if code & 8 else change
        index = max(0, min(88, index + (-1, -1, -1, -1, 2, 4, 6, 8)[code & 7]))
        found.append(guess / 32768)
    assert np.corrcoef(found, expected)[0, 1] > 0.95, name
