"""What a run names by paths and what lies next to its suite, on a machine that has it and on one that has not."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import foreign

from bench import lookup, suites
from bench.errors import RunError
from bench.records import Recipe, Run, sources
from bench.runner import node, parcels
from bench.runner.executors import Failed
from bench.runner.settings import RunSettings


@pytest.fixture
def settings(tmp_path: Path) -> RunSettings:
    return RunSettings(store=tmp_path / "runs", data_dir=tmp_path / "data", device="cpu")


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    lookup.forget()


def own(folder: Path) -> Run:
    """A run on features of a user's own that starts from weights of a user's own."""
    for label in "ab":
        (folder / "own" / label).mkdir(parents=True)
        np.save(folder / "own" / label / f"{label}.npy", np.zeros((2, 4), np.float32))
    (folder / "start.safetensors").write_bytes(b"weights")
    recipe = Recipe(epochs=1, init=str(folder / "start.safetensors"))
    return Run(
        model="fc", frontend="none", dataset="embeddings", recipe=recipe, data={"root": str(folder / "own")}
    )  # fmt: skip


def test_files_at_paths_are_compared_and_named(settings: RunSettings, tmp_path: Path) -> None:
    run = own(tmp_path)
    parcel = parcels.pack(run, settings, force=False)[0]
    assert {Path(file.name).name for file in parcel.fixed} == {"start.safetensors", "a.npy", "b.npy"}
    parcels.check_fixed(parcel, "there")
    np.save(tmp_path / "own/b/b.npy", np.ones((2, 4), np.float32))
    with pytest.raises(RunError, match=r"own/b/b\.npy on there is another file than here: .* Copy it there"):
        parcels.check_fixed(parcel, "there")
    (tmp_path / "start.safetensors").unlink()
    with pytest.raises(RunError, match=r"there has no file .*start\.safetensors"):
        parcels.check_fixed(parcel, "there")


def test_a_run_whose_files_are_not_there_fails_before_it_begins(
    settings: RunSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(node.FOLDER, str(tmp_path / "node"))
    parcel = parcels.pack(own(tmp_path), settings, force=False)[0]
    shutil.rmtree(tmp_path / "own")
    (end,) = node.do(parcel, lambda parts: pytest.fail("nothing is asked for"), {})
    assert isinstance(end, Failed)
    assert "has no file" in end.failure.message


def test_a_relative_path_is_refused(settings: RunSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = own(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="other machines need the absolute path of own: write /"):
        parcels.pack(replace(run, data={"root": "own"}), settings, force=False)


def test_code_next_to_a_suite_is_sent_and_another_version_is_refused(settings: RunSettings, tmp_path: Path) -> None:
    suite = suites.read(str(foreign.write(tmp_path / "mine")))
    suite.permit()
    run = next(each for each in suite.runs() if each.model == "my_package.net:Net")
    parcel, paths, _ = parcels.pack(run, settings, force=False)
    assert {file.name for files in parcel.code.values() for file in files} >= {
        "my_package/net.py", "my_package/parts.py", "my_package/data.py",
    }  # fmt: skip
    assert parcel.sources == sources.digests(run)
    shelf, named = parcels.Shelf(tmp_path / "node"), lookup.permitted()
    shutil.move(tmp_path / "mine", tmp_path / "gone")
    moved = {digest: Path(str(path).replace("/mine/", "/gone/")) for digest, path in paths.items()}
    lookup.forget()
    sources.refresh()
    node._bring_code(parcel, shelf, lambda parts: parcels.read_parts(moved, parts), named)
    assert sources.digests(run) == parcel.sources
    assert lookup.folder_of("my_package.net:Net") not in (None, tmp_path / "mine")
    sources.refresh()
    with pytest.raises(RunError, match=r"has another source of my_package\.net:Net: install the package"):
        node._bring_code(replace(parcel, sources={"model": "0" * 16}), shelf, lambda parts: [], named)
