"""The reader's own board: systems joined over datasets, ranked by weights, in Python and in a browser."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from fakes.boards import boards, record, run

from bench.leaderboard import joined, render

PAGE = Path("leaderboards/board.html").resolve()
SHARES = render.shares_of(PAGE.read_text(encoding="utf-8"))


def text_of(draws):
    return "".join(joined.DIGITS[n >> 6] + joined.DIGITS[n & 63] for n in draws)


def board(name, suite="s", **rows):
    """Return a share of a suite: name of a row to its score and its draws."""
    made = {
        row: {"score": score, "shown": f"{score}", "costs": [score, None, None], "draws": text_of(draws)}
        for row, (score, draws) in rows.items()
    }
    return {"suite": suite, "dataset": name, "metric": "accuracy", "rows": made}


STEADY = [0] * 40


def test_the_weighted_mean_ranks_hand_worked():
    one = board("one", a=(4095, [4095] * 40), b=(0, STEADY), c=(2000, [2000] * 40))
    two = board("two", a=(0, STEADY), b=(3000, [3000] * 40))
    for weights, order in (((1, 1), "ab"), ((1, 3), "ba"), ((1, 0), "acb"), ((0, 1), "ba"), ((0, 0), "")):
        places = joined.ranking([one, two], weights)
        assert "".join(place.name for place in places) == order
        assert [place.rank for place in places] == list(range(1, len(order) + 1))
        assert [place.interval for place in places] == [(i, i) for i in range(1, len(order) + 1)]
    (first, second) = joined.ranking([one, two], (1, 3))
    assert first.score == pytest.approx(9000 / 4 / 4095)
    assert second.shown == ("4095", "0")


def test_rows_share_a_rank_if_their_difference_may_be_chance():
    near = [30] * 20 + [70] * 20
    one = board("one", a=(60, [60] * 40), b=(50, near), c=(10, [10] * 40))
    places = joined.ranking([one], [1])
    assert [(p.name, p.rank, p.interval) for p in places] == [("a", 1, (1, 2)), ("b", 1, (1, 2)), ("c", 3, (3, 3))]
    without = board("one", a=(60, []), b=(60, []), c=(10, []))
    assert [(p.rank, p.interval) for p in joined.ranking([without], [1])] == [(1, None), (1, None), (3, None)]


def test_the_first_weights_keep_systems_in_common():
    many = {f"m{i:02}": (i, STEADY) for i in range(12)}
    some = {name: value for name, value in many.items() if name < "m10"}
    found = [board("a", **some), board("b", **many), board("b", "other", m00=(1, STEADY)), board("c", x=(1, STEADY))]
    assert joined.first_weights(found) == [1, 1, 0, 0]
    assert joined.first_weights([]) == []


def test_a_share_has_the_rows_scores_and_draws():
    rng = np.random.default_rng(0)
    records = [record(run(model), score, draws=tuple(rng.normal(score, 0.03, 1000).tolist()))
               for model, score in (("cnn", 0.8), ("fc", 0.6))]  # fmt: skip
    (found,) = joined.share("s", boards(*records))
    assert list(found["rows"]) == ["cnn on logmel", "fc on logmel"]
    cnn = found["rows"]["cnn on logmel"]
    assert cnn["score"] == round(0.8 * 4095)
    assert cnn["costs"] == [54_912_345, 47_130_000_000, 12.34]
    assert len(cnn["draws"]) == 2 * joined.DRAWS
    drawn = np.array([joined.DIGITS.index(c) for c in cnn["draws"]]).reshape(-1, 2) @ [64, 1] / 4095
    assert drawn.mean() == pytest.approx(0.8, abs=0.01)
    assert joined.share("s", boards(record(run(), 0.5)))[0]["rows"]["cnn on logmel"]["draws"] == ""


def test_the_page_is_small_keeps_what_it_was_drawn_from_and_escapes_it():
    assert PAGE.stat().st_size < 300_000
    assert render.board_page(SHARES) == PAGE.read_text(encoding="utf-8")
    evil = board("</script><b>", **{"<i>&": (5, STEADY)})
    text = render.board_page([evil])
    assert render.shares_of(text) == [evil]
    assert "<i>" not in text
    assert text.count("</script>") == 2
    assert render.shares_of("<p>") == []


def shown(page):
    return [row.split("\t") for row in page.locator("table").inner_text().splitlines()[1:]]


def expected(weights):
    used = [i for i, weight in enumerate(weights) if weight]
    return [
        [
            *(str(place.rank), place.name, "{}\N{EN DASH}{}".format(*place.interval), f"{100 * place.score:.1f}"),
            *(place.shown[i] for i in used),
        ]
        for place in joined.ranking(SHARES, weights)
    ]


@pytest.fixture
def visit(browser):
    """Open the page; nothing may be loaded, blocked by its policy, or thrown."""
    said, opened = [], []

    def visit(fragment="", **context):
        place = browser.new_context(**context)
        opened.append(place)
        page = place.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url) if not request.url.startswith("file:") else None)
        page.goto(f"file://{PAGE}{fragment}")
        return page

    yield visit
    for place in opened:
        place.close()
    assert said == []


@pytest.mark.slow
@pytest.mark.process
def test_the_page_ranks_as_the_library_does_by_any_weights(visit):
    weights = joined.first_weights(SHARES)
    assert shown(visit(java_script_enabled=False)) == expected(weights)
    page = visit()
    assert shown(page) == expected(weights)
    slider = page.get_by_label("synthetic-tags of all")
    slider.focus()
    page.keyboard.press("End")  # weight 10
    page.get_by_label("esc10 of esc10", exact=False).first.focus()
    page.keyboard.press("ArrowRight")
    weights = [10 if (s["suite"], s["dataset"]) == ("all", "synthetic-tags") else w
               for s, w in zip(SHARES, weights, strict=True)]  # fmt: skip
    weights = [2 if s["suite"] == "esc10" else w for s, w in zip(SHARES, weights, strict=True)]
    assert shown(page) == expected(weights)
    assert page.evaluate("location.hash") == f"#w={'.'.join(map(str, weights))}"
    again = visit(page.evaluate("location.hash"))
    assert shown(again) == expected(weights)
    again.get_by_role("button", name="As at the start").click()
    assert shown(again) == expected(joined.first_weights(SHARES))
    only = [int(share["suite"] == "segmentation") for share in SHARES]
    assert shown(visit(f"#w={'.'.join(map(str, only))}")) == expected(only)
    assert visit(f"#w={'.'.join('0' * len(only))}").locator("#count").inner_text() == "No dataset has a weight."


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (390, "dark")])
def test_a_budget_leaves_out_what_costs_more_and_nothing_is_clipped(visit, width, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page = visit("#parameters=50", viewport={"width": width, "height": 900}, color_scheme=scheme)
    limit = page.get_by_label("parameters").get_attribute("aria-valuetext")
    number, unit = re.fullmatch(r"\u2264 ([\d.]+) ([kM])", limit).groups()
    most = float(number) * {"k": 1e3, "M": 1e6}[unit]
    used = [share["rows"] for share, weight in zip(SHARES, joined.first_weights(SHARES), strict=True) if weight]
    names = {place.name for place in joined.ranking(SHARES, joined.first_weights(SHARES))}
    fit = {name for name in names if all((rows[name]["costs"][0] or 1e99) <= most for rows in used)}
    assert 0 < len(fit) < len(names)
    assert {row[1] for row in shown(page)} == fit
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert Axe().run(page).response["violations"] == []
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(); }")
    page.get_by_role("button", name="Copy CSV").click()
    copied = page.get_by_label("CSV").input_value().splitlines()
    assert len(copied) == 1 + len(fit)
    assert json.loads(f"[{copied[1]}]") == shown(page)[0]
