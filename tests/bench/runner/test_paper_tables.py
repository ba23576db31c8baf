"""Quick tiers of the papers' tables, run on trees in the official layouts."""

from pathlib import Path

import pytest
from fakes.calls import bench, records
from fakes.trees import TREES

from bench import catalog

pytestmark = [pytest.mark.slow, pytest.mark.process]

CASES = {
    "swishnet-gtzan": (("musan", "gtzan-music-speech"), (), "SwishNet-slim, from scratch", 3),
    "swishnet-musan": (("musan",), ("gmm", "gru"), "GMM", 2),
    "lstm-skip-audioset": (("audioset-embeddings",), ("skip-2-two", "plain-2-two"), "2", 2),
    "fc-frameworks": (("audioset-embeddings",), (), "NumPy", 2),
}
"""Datasets, systems (all where empty), a row of the table, runs."""


@pytest.mark.parametrize("name", CASES)
def test_a_quick_tier_runs_and_fills_its_table(name: str, tmp_path: Path) -> None:
    datasets, systems, row, runs = CASES[name]
    for dataset in datasets:
        write, folder = TREES[dataset].write, catalog.dataset(dataset).folder
        assert write is not None
        assert folder is not None
        write(tmp_path / "data" / folder)
    chosen = [option for system in systems for option in ("--model", system)]
    store = tmp_path / "runs"
    done = bench(
        "run", "--suite", name, "--tier", "quick", "--data-dir", tmp_path / "data", "--store", store, *chosen,
        "--executor", "serial", "--device", "cpu", "--wandb", "disabled", "--workers", "1",
    )  # fmt: skip
    assert done.code == 0, done.words
    found = records(tmp_path)
    assert [record.status for record in found] == ["ok"] * runs
    page = (store / f"{name}-quick.md").read_text()
    assert f"bench run --suite {name} --tier quick" in page
    (line,) = [line for line in page.splitlines() if line.startswith(f"| {row} |")][:1]
    assert any(character.isdigit() for character in line.partition(row)[2])
    again = bench("table", name, "--tier", "quick", "--store", store)
    assert line in again.out
    if name == "swishnet-gtzan":
        (tuned,) = [record for record in found if record.run.recipe.init]
        first = next(record for record in found if record.key == tuned.run.recipe.init)
        assert (first.run.dataset, tuned.run.dataset) == ("musan", "gtzan-music-speech")
