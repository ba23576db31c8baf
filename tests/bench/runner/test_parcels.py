"""What goes to another machine and what comes back, without a network: two folders that share nothing."""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from unittest import mock
from urllib.parse import quote

import pytest
from fakes import esc50, server
from fakes.trees import TREES

from bench.errors import RecordError, RunError
from bench.records import Recipe, Run, Store, data_files
from bench.runner import node, parcels
from bench.runner.executors import Failed, Finished, Reported
from bench.runner.news import RunEnded
from bench.runner.settings import RunSettings

RUN = Run(
    model="fc", frontend="logmel-1s", dataset="esc50", fold=0, seed=0, data=TREES["esc50"].arguments,
    recipe=Recipe(epochs=1, batch_size=4),
)  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> RunSettings:
    esc50.write(tmp_path / "data" / "esc50")
    return RunSettings(store=tmp_path / "runs", data_dir=tmp_path / "data", device="cpu")


class Sent:
    """Gives parts of files, and counts the bytes."""

    def __init__(self, paths: dict[str, Path]) -> None:
        self.paths = paths
        self.bytes = 0

    def __call__(self, parts: Sequence[parcels.Part]) -> list[bytes]:
        found = parcels.read_parts(self.paths, parts)
        self.bytes += sum(map(len, found))
        return found


def test_a_parcel_names_every_file_of_the_data(settings: RunSettings) -> None:
    parcel, paths, state = parcels.pack(RUN, settings, force=False)
    assert len(parcel.data) == 51
    assert {file.name.split("/")[0] for file in parcel.data} == {"esc50"}
    for file in parcel.data:
        assert hashlib.sha256((settings.data_dir / file.name).read_bytes()).hexdigest() == file.sha256
        assert paths[file.sha256].stat().st_size == file.size
    assert state is not None
    other = replace(RUN, dataset="synthetic", data={})
    assert parcels.pack(other, settings, force=False)[0].data == ()


def test_files_are_sent_once(settings: RunSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parcels, "BLOCK", 30_000)  # larger than some files, smaller than others
    (settings.data_dir / "esc50/audio/large.wav").write_bytes(bytes(range(256)) * 400)
    parcel, paths, _ = parcels.pack(RUN, settings, force=False)
    shelf, read = parcels.Shelf(tmp_path / "node"), Sent(paths)
    shelf.fetch(parcel.data, read)
    assert read.bytes == sum({file.sha256: file.size for file in parcel.data}.values())
    tree = shelf.tree(parcel.data)
    assert shelf.tree(parcel.data) == tree
    for file in parcel.data:
        assert (tree / file.name).read_bytes() == (settings.data_dir / file.name).read_bytes()
    shelf.path(parcel.data[3]).unlink()
    before = read.bytes
    shelf.fetch(parcel.data, read)
    assert read.bytes - before == parcel.data[3].size


@pytest.mark.parametrize("block", [1000, 2**20])
def test_a_file_that_changes_meanwhile_is_refused(
    settings: RunSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(parcels, "BLOCK", block)
    parcel, paths, _ = parcels.pack(RUN, settings, force=False)
    path = paths[parcel.data[5].sha256]
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(RunError, match="has changed meanwhile"):
        parcels.Shelf(tmp_path / "node").fetch(parcel.data, Sent(paths))
    assert not list((tmp_path / "node").rglob(".tmp-*"))


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "a//x", "."])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    content = b"x"
    file = parcels.File(name, 1, hashlib.sha256(content).hexdigest())
    shelf = parcels.Shelf(tmp_path / "node")
    shelf.fetch([file], lambda parts: [content])
    with pytest.raises(RunError, match="is no name of a file"):
        shelf.tree([file])


@pytest.mark.process
@pytest.mark.slow
def test_a_run_elsewhere_comes_back_as_if_it_had_been_done_here(
    settings: RunSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(node.FOLDER, str(tmp_path / "node"))
    store = Store(settings.store)
    cnn = replace(RUN, model="cnn", frontend="logmel-20ms")
    student = replace(RUN, recipe=replace(RUN.recipe, teacher=cnn.key))
    for run in (cnn, student):
        parcel, paths, state = parcels.pack(run, settings, force=False)
        hidden = settings.data_dir.rename(tmp_path / "hidden")
        elsewhere = {
            digest: hidden / path.relative_to(settings.data_dir) if "data" in path.parts[-4:] else path
            for digest, path in paths.items()
        }
        elsewhere = {digest: path if path.exists() else paths[digest] for digest, path in elsewhere.items()}
        arriving = parcels.Arriving(store, run, state)
        events = []
        for each in node.do(parcel, Sent(elsewhere), {}):
            if isinstance(each, parcels.Piece):
                arriving.take(each)
            elif isinstance(each, parcels.Complete):
                arriving.finish(each)
            else:
                events.append(each)
        arriving.close()
        hidden.rename(settings.data_dir)
        assert Reported(run.key, RunEnded(run.key, "done")) in events
        assert isinstance(events[-1], Finished)
        record = store.finished_record(run.key, "the run")
        assert record.artifacts
        assert data_files.change(store, run.key) is None
        assert (store.artifacts(run.key) / data_files.NAME).exists()
        assert not list(store.artifacts(run.key).glob(".tmp-*"))
    assert student.needs == (cnn.key,)
    assert not list((tmp_path / "node" / "stores").glob(f"*/artifacts/{student.key}/*"))


@pytest.mark.process
@pytest.mark.slow
def test_damage_on_the_way_back_is_found(
    settings: RunSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(node.FOLDER, str(tmp_path / "node"))
    store = Store(settings.store)
    run = replace(RUN, dataset="synthetic", data={"clips_per_class": 10, "clip_seconds": 0.5})
    parcel, paths, state = parcels.pack(run, settings, force=False)
    sent = [each for each in node.do(parcel, Sent(paths), {}) if isinstance(each, parcels.Piece | parcels.Complete)]
    pieces = [each for each in sent if isinstance(each, parcels.Piece)]
    (complete,) = (each for each in sent if isinstance(each, parcels.Complete))

    def arrive(changed: list[parcels.Piece], end: parcels.Complete) -> None:
        arriving = parcels.Arriving(store, run, state)
        try:
            for piece in changed:
                arriving.take(piece)
            arriving.finish(end)
        finally:
            arriving.close()

    for i, piece in enumerate(pieces):
        flipped = replace(piece, content=bytes([piece.content[0] ^ 1]) + piece.content[1:])
        with pytest.raises(RunError, match="did not arrive whole"):
            arrive([*pieces[:i], flipped, *pieces[i + 1 :]], complete)
        with pytest.raises(RunError, match="did not arrive whole"):
            arrive([*pieces[:i], *pieces[i + 1 :]], complete)
    without = tuple(file for file in complete.files if file.name != "logits.npz")
    with pytest.raises(RunError, match="are not those that its record names"):
        arrive([piece for piece in pieces if piece.name != "logits.npz"], replace(complete, files=without))
    with pytest.raises(RecordError):
        arrive(pieces, replace(complete, record=complete.record.replace('"status": "ok"', '"status":  "ok" ', 1)[:-9]))
    assert run not in store
    assert not list(store.artifacts(run.key).iterdir())
    arrive(pieces, complete)
    assert run in store
    shutil.rmtree(tmp_path / "node")


def test_data_are_read_from_a_url(settings: RunSettings, tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    parcel, paths, _ = parcels.pack(RUN, settings, force=False)
    read = node.from_url(settings.data_dir.as_uri())
    shelf = parcels.Shelf(tmp_path / "node")
    shelf.fetch(parcel.data, read)
    assert all(shelf.path(file).read_bytes() == paths[file.sha256].read_bytes() for file in parcel.data)


@pytest.mark.parametrize("block", [10, 10_000])
def test_a_received_file_that_is_damaged_later_is_received_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(parcels, "BLOCK", block)
    content = b"a recorded sound"
    file = parcels.File("a.wav", len(content), hashlib.sha256(content).hexdigest())
    asked: list[int] = []

    def read(parts: Sequence[parcels.Part]) -> list[bytes]:
        asked.append(len(parts))
        return [content[part.start : part.start + part.length] for part in parts]

    shelf = parcels.Shelf(tmp_path)
    shelf.fetch([file], read)
    tree = shelf.tree([file])
    first = len(asked)
    shelf.fetch([file], read)
    assert len(asked) == first
    shelf.path(file).write_bytes(b"b recorded sound")
    leftover = shelf.path(file).with_name(".tmp-of-a-killed-process")
    leftover.touch()
    shelf.fetch([file], read)
    assert len(asked) == 2 * first
    assert (tree / "a.wav").read_bytes() == content
    assert not list(tmp_path.rglob(".tmp-*"))
    state = shelf.path(file).stat()
    shelf.path(file).write_bytes(b"")
    os.utime(shelf.path(file), ns=(state.st_atime_ns, state.st_mtime_ns))
    shelf.fetch([file], read)
    assert (tree / "a.wav").read_bytes() == content


@pytest.mark.parametrize("ranges", [True, False])
def test_a_large_file_is_read_from_a_web_server_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ranges: bool
) -> None:
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(parcels, "BLOCK", 1_000)
    contents = {"large #1.tar": bytes(i % 251 for i in range(2_500)), "small.wav": b"sound"}
    files = [parcels.File(name, len(each), hashlib.sha256(each).hexdigest()) for name, each in contents.items()]
    shelf = parcels.Shelf(tmp_path)
    with server.serving() as web:
        web.ranges = ranges
        web.files = {f"data/{quote(name)}": content for name, content in contents.items()}
        shelf.fetch(files, node.from_url(web.url("data/")))
    assert [shelf.path(file).read_bytes() for file in files] == list(contents.values())
    assert sum(request.sent for request in web.requests) == 2_505


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda path: path.write_bytes(b"other"), r"--data-url file:///.* holds other files than the data folder of"),
        (lambda path: path.unlink(), r"cannot read .* below --data-url file:///.* \(FileNotFoundError"),
    ],
    ids=["another file", "no file"],
)
def test_data_of_a_url_that_are_others_or_not_there_fail_the_run_and_are_no_lost_machine(
    settings: RunSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object], words: str
) -> None:
    pytest.importorskip("fsspec")
    monkeypatch.setenv(node.FOLDER, str(tmp_path / "node"))
    shutil.copytree(settings.data_dir, tmp_path / "elsewhere")
    settings = replace(settings, data_url=(tmp_path / "elsewhere").as_uri())
    parcel, _, _ = parcels.pack(RUN, settings, force=False)
    change(tmp_path / "elsewhere" / parcel.data[0].name)
    (event,) = node.do(parcel, lambda parts: pytest.fail("the driver was asked"), {})
    assert isinstance(event, Failed)
    assert event.code == "run"
    assert re.search(words, event.failure.message)
    assert event.failure.message.endswith("copy the data folder there, or leave --data-url out")


def test_a_url_that_fails_for_a_moment_is_asked_again(settings: RunSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec = pytest.importorskip("fsspec")
    monkeypatch.setattr(node, "PAUSES", (0.0, 0.0))
    parcel, paths, _ = parcels.pack(RUN, settings, force=False)
    system = type(fsspec.filesystem("file"))
    answers = iter([OSError("a moment"), OSError("another")])
    cat_file = system.cat_file

    def failing(self, *arguments, **named):
        if (error := next(answers, None)) is not None:
            raise error
        return cat_file(self, *arguments, **named)

    monkeypatch.setattr(system, "cat_file", failing)
    file = parcel.data[0]
    (content,) = node.from_url(settings.data_dir.as_uri())([parcels.Part(file, 0, file.size)])
    assert content == paths[file.sha256].read_bytes()


def test_a_url_that_cannot_be_reached_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec = pytest.importorskip("fsspec")
    monkeypatch.setattr(node, "PAUSES", (0.0,))
    monkeypatch.setattr(fsspec.core, "url_to_fs", mock.Mock(side_effect=ConnectionRefusedError("no answer")))
    with pytest.raises(RunError, match=r"cannot read --data-url ftp://here/data \(ConnectionRefusedError: no answer\)"):
        node.from_url("ftp://here/data")
    assert fsspec.core.url_to_fs.call_count == 2


def test_machines_differ_by_name() -> None:
    here = node.identity()
    assert node.differences(here, here) == ""
    assert node.differences(here | {"torch": "2.0.0"}, here) == f"torch 2.0.0 there, {here['torch']} here"
    assert "+" not in "".join(here.values())
