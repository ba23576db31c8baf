"""The page of exports has every architecture and every format, and one of its entries is made again."""

import importlib.util

import pytest
from fakes.paths import PROJECT

from bench import catalog
from bench.inference.exporting import FORMATS


def entries() -> dict[tuple[str, str], str]:
    lines = [line.strip("| \n").split(" | ") for line in (PROJECT / "docs" / "exports.md").read_text().splitlines()]
    rows = [line for line in lines if len(line) == 1 + len(FORMATS)]
    formats = rows[0][1:]
    return {(row[0], format): text for row in rows[1:] for format, text in zip(formats, row[1:], strict=True)}


def test_every_architecture_and_format_has_been_tried() -> None:
    found = entries()
    assert set(found) == {(model, format) for model in catalog.MODELS for format in FORMATS}
    assert "not tried" not in found.values()


@pytest.mark.slow
def test_an_entry_is_what_the_check_finds() -> None:
    spec = importlib.util.spec_from_file_location("exports", PROJECT / "benchmarks" / "exports.py")
    assert spec is not None
    assert spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    length, _, size = entries()[("linear-probe", "pt2")].split(", ")
    again = benchmark.cell("linear-probe", "pt2")
    assert again.problem == ""
    assert again.text.split(", ")[0] == length
    assert abs(int(again.text.split(", ")[2].split()[0].replace(",", "")) - int(size.split()[0].replace(",", ""))) < 50
