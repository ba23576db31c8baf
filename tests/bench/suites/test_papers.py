"""A suite for each table of the papers: the number of its runs, on trees in the official layouts."""

import inspect
import json
import sys
from functools import partial

import pytest
from fakes import audioset
from fakes.trees import TREES

from bench import catalog, suites
from bench.cli import main

THREE = 3  # seeds of most tables

RUNS = {  # whole, quick
    "swishnet-musan": (10 * 3 * THREE, 9),  # systems, lengths of the clips
    "swishnet-gtzan": ((3 + 4) * THREE, 3),  # on MUSAN, then on GTZAN
    "rann-esc50-features": ((7 + 1) * 5 * THREE, 4),  # features and CNN14, folds
    "rann-esc50-fusion": ((5 + 26 * 3) * 5 * THREE, 3 + 4 * 3),  # members, combinations of two or more by three rules
    "rann-ravdess": (3 * 4 * THREE, 2),
    "rann-audioset": (7 + 3, 2),
    "rann-transfer": ((1 + 3 * 5) * THREE, 3),
    "rann-complexity": (7 + 10, 3),
    "lstm-skip-audioset": ((4 * 2 * 2 + 3) * 2 * THREE, 7),  # layers, skips, directions; two splits
    "fc-initialisation": (6 * 5, 6),
    "fc-batch-size": (8 * THREE, 3),
    "fc-frameworks": (3 * THREE, 2),
    "liquid-cnn-ltc": (6 * (5 + 10 + 1 + 1) * THREE, 6 * 3),
    "liquid-configurations": (13 * 5 * THREE, 6),
    "liquid-distillation": ((1 + 2 * 5) * 5 * THREE, 4),
    "esc50": (11 * 5 * THREE, 5),
    "urbansound8k": (11 * 10 * THREE, 5),
    "ravdess": (11 * 4 * THREE, 5),
    "vggsound": (11 * THREE, 5),
    "audioset": (11 * THREE, 5),
    "musan": (10 * THREE, 6),
    "gtzan": (10 * THREE, 6),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with a small tree of each dataset."""
    root = tmp_path_factory.mktemp("data")
    for name in ("musan", "gtzan-music-speech", "esc50", "ravdess", "urbansound8k", "vggsound", "audioset",
                 "audioset-embeddings", "esc10"):  # fmt: skip
        write = partial(audioset.write, unbalanced=8) if name == "audioset" else TREES[name].write
        folder = catalog.dataset(name).folder
        assert write is not None
        assert folder is not None
        write(root / folder)
    return root


@pytest.mark.parametrize("name", RUNS)
def test_a_dry_run_of_each_table_has_its_number_of_runs(name, data, tmp_path, monkeypatch, capsys):
    for tier, expected in zip(("", "quick"), RUNS[name], strict=True):
        options = ["--tier", tier] if tier else []
        where = ("--data-dir", str(data), "--store", str(tmp_path))
        monkeypatch.setattr(sys, "argv", ["bench", "run", "--suite", name, "--dry-run", "--json", *where, *options])
        with pytest.raises(SystemExit) as end:
            main()
        found = json.loads(capsys.readouterr().out)
        assert end.value.code in (0, None)
        assert {run["state"] for run in found} == {"to do"}
        assert len({run["key"] for run in found}) == len(found) == expected


def test_every_table_of_the_papers_is_a_suite(monkeypatch, capsys):
    assert RUNS.keys() <= suites.suites().keys()
    monkeypatch.setattr(sys, "argv", ["bench", "list", "suites", "--json"])
    with pytest.raises(SystemExit):
        main()
    listed = json.loads(capsys.readouterr().out)["suites"]
    assert all("quick" in listed[name]["tiers"] for name in RUNS)
    assert listed["smoke"]["tiers"] == []


@pytest.mark.parametrize("name", RUNS)
def test_every_argument_of_a_table_is_one_of_its_component(name):
    for tier in ("", "quick"):
        for run in suites.read(name, tier=tier).runs():
            if not run.members:
                known = inspect.signature(catalog.load(catalog.model(run.model).target)).parameters
                assert run.arguments.keys() <= known.keys()
            known = inspect.signature(catalog.load(catalog.dataset(run.dataset).target)).parameters
            assert run.data.keys() <= known.keys()


def test_the_fusion_table_is_of_the_trainings_of_the_features_table():
    features = {run.key for run in suites.read("rann-esc50-features").runs()}
    members = {run.key for run in suites.read("rann-esc50-fusion").runs() if not run.members}
    assert members < features


def test_students_have_the_temperatures_of_the_paper():
    suite = suites.read("swishnet-musan")
    names, datasets = suite.names(), suite.dataset_names()
    found = {
        (names[run.key], datasets[run.key]): run.recipe.teacher_temperature
        for run in suite.runs()
        if run.recipe.teacher
    }
    assert [found["slim-distilled", f"musan-{s}"] for s in ("2s", "1s", "0.5s")] == [4, 2, 1]
    assert [found["wide-distilled", f"musan-{s}"] for s in ("2s", "1s", "0.5s")] == [10, 10, 8]
    sizes = {datasets[run.key]: run.recipe.batch_size for run in suite.runs()}
    assert sizes == {"musan-0.5s": 512, "musan-1s": 256, "musan-2s": 128}
