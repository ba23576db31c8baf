"""The campaign of injected faults: nothing comes to no good, and each kind notices that a guard is gone."""

import json
from contextlib import nullcontext
from pathlib import Path

import pytest
from faults import campaign, page, records
from faults.tally import BAD, Fault, Tally

from bench.records import Store

BY_NAME = {fault.name: fault for fault in campaign.FAULTS}
CHEAP = {"F5": 3, "F11": 100, "F13": 70, "F14": 24, "F16": 36, "F17": 16, "F19": 6, "F20b": 2, "F24": 20, "F25": 1}
"""Kinds that take a moment, and a number of faults."""


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize("guarded", [True, False])
@pytest.mark.parametrize("name", CHEAP)
def test_a_kind_of_fault_comes_to_no_good_only_without_its_guard(tmp_path: Path, name: str, guarded: bool) -> None:
    fault = BY_NAME[name]
    with nullcontext() if guarded else fault.unguarded():
        tally = fault.inject(max(CHEAP[name], 0 if guarded else min(fault.prove, 40)), tmp_path / "work")
    assert tally.injected
    assert (tally.bad == 0) == guarded, tally.notes
    assert not any("TypeError" in note for note in tally.notes), tally.notes  # of the proof, which fits no longer


def test_every_kind_has_a_guard_to_take_out() -> None:
    assert [fault.name for fault in campaign.FAULTS if not fault.prove or fault.unguarded is nullcontext] == []


def test_a_run_with_two_files_is_counted_by_what_is_in_them(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number in range(3):
        store.write(records.record(number))
    assert records.doubled(store) == 0
    other = store.path(records.run(1).key).with_name("another-name.json")
    other.write_bytes(store.path(records.run(1).key).read_bytes())
    assert records.doubled(store) == 1
    other.write_text('{"run": {"half')  # a writer was killed
    assert records.doubled(store) == 0


def test_a_quick_and_a_full_campaign_have_enough_faults() -> None:
    assert sum(fault.quick for fault in campaign.FAULTS) >= 7_000
    assert sum(fault.full for fault in campaign.FAULTS) >= 50_000
    assert len(BY_NAME) == len(campaign.FAULTS)


def test_the_sum_and_the_exit_code_show_what_came_to_no_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def inject(count: int, folder: Path) -> Tally:
        tally = Tally(injected=count)
        tally.note("lost", "a record is gone", count=count - 3)
        return tally

    fault = Fault("F1", "words", 3, 5, inject, "a guard", nullcontext, 3)
    monkeypatch.setattr(campaign, "FAULTS", (fault,))
    saved = tmp_path / "faults.json"
    assert campaign.main(["--quick", "--save", str(saved)]) == 0
    assert campaign.main(["--prove"]) == 1  # nothing is noticed
    assert "notice nothing without a guard: F1" in capsys.readouterr().out
    assert campaign.main(["--full", "--save", str(saved)]) == 1
    assert "all   faults injected 5 · lost 2 · doubled 0" in capsys.readouterr().out
    assert [row["lost"] for row in json.loads(saved.read_text())["rows"]] == [2]
    table = page.table(json.loads(saved.read_text()))
    assert "Faults injected **5** · lost **2**" in table
    assert table.endswith("| F1 | words | a guard | 5 | 2 |")


@pytest.mark.process
@pytest.mark.parametrize("workers", [1, 2])
def test_every_kind_has_a_row_even_if_the_campaign_itself_fails(monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    def inject(count: int, folder: Path) -> Tally:
        if count == 2:
            raise OSError("no")
        return Tally(injected=count)

    faults = tuple(Fault(f"F{number}", "words", number, 5, inject, "a guard") for number in (0, 1, 2, 3))
    monkeypatch.setattr(campaign, "FAULTS", faults)
    rows = {row["name"]: row for row in campaign.campaign(faults, "quick", workers)}
    assert {name: (row["injected"], row["crashed"]) for name, row in rows.items()} == {
        "F1": (1, 0), "F2": (1, 1), "F3": (3, 0),
    }  # fmt: skip
    assert "OSError('no')" in rows["F2"]["notes"][0]


def test_the_page_has_the_figures_of_the_last_campaign() -> None:
    figures = json.loads(campaign.SAVED.read_text())
    assert page.written(page.PAGE.read_text(), figures) == page.PAGE.read_text()
    assert page.summed(page.README.read_text(), figures) == page.README.read_text()
    assert figures["kind"] in ("quick", "full")
    assert {row["name"] for row in figures["rows"]} <= BY_NAME.keys()
    assert sum(row[name] for row in figures["rows"] for name in BAD) == 0
