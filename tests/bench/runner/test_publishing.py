"""Publishing a row of one's own into the tables of another suite, and checking such a row."""

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from rich.console import Console

from bench import lookup, suites
from bench.errors import BenchError, SuiteError
from bench.evaluation.rescore import rescore
from bench.leaderboard import checks
from bench.records import Environment, Record, Store
from bench.runner import publishing, submission
from bench.runner.driver import Runner
from bench.runner.progress import Progress
from bench.runner.settings import RunSettings

pytestmark = pytest.mark.slow

TABLES = """
models = ["fc"]
datasets = ["synthetic"]
seeds = [3]
[recipe]
epochs = 1
[dataset.synthetic]
clips_per_class = 20
"""

ROW = TABLES.replace('["fc"]', '["small"]') + '[model.small]\nmodel = "mine:Net"\n'

CODE = """
from torch import nn
from helper import POOL


class Net(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(POOL, classes)

    def forward(self, waveform):  # (B, S) to (B, C)
        return self.head(nn.functional.adaptive_avg_pool1d(waveform.abs(), POOL))
"""


class Made(NamedTuple):
    """Two suites with finished runs.

    Attributes:
        folder: with the suites' files and the code of the row.
        store: of both suites.
    """

    folder: Path
    store: Store


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("publishing")
    (folder / "tables.toml").write_text(TABLES)
    (folder / "row.toml").write_text(ROW)
    (folder / "mine.py").write_text(CODE)
    (folder / "helper.py").write_text("POOL = 32\n")
    before = list(sys.path)
    for name in ("tables", "row"):
        suite = suites.read(str(folder / f"{name}.toml"))
        place = replace(settings(folder / "runs"), timings=False)
        assert not Runner(suite, place, Progress(Console(file=io.StringIO())), "serial").run(suite.runs(), False).failed
    sys.path[:] = before
    store = Store(folder / "runs")
    for key in store.keys():  # noqa: SIM118 - a store is no mapping
        record = store.get(key)
        assert record is not None
        store.write(with_commit(record))
    return Made(folder, store)


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    lookup.forget()


def with_commit(record: Record, **changed: object) -> Record:
    """Return a record as a clean checkout of the project's head makes it."""
    assert record.environment is not None
    head = publishing.git(publishing.PROJECT, "rev-parse", "HEAD")
    environment: Environment = replace(record.environment, **({"commit": head, "dirty": False} | changed))  # type: ignore[arg-type]
    return replace(record, environment=environment)


@pytest.fixture(autouse=True)
def _branch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a branch have the head, which a copy of the project without git has not."""
    monkeypatch.setattr(publishing, "unpublished", lambda commit: None if commit != "f" * 40 else "no branch has it")


def published(made: Made, to: Path) -> Store:
    """Publish the tables, and the row into them."""
    target = Store(to)
    publishing.publish(str(made.folder / "tables.toml"), made.store, target)
    publishing.publish(str(made.folder / "row.toml"), made.store, target, into=str(to / "tables.toml"))
    return target


def settings(folder: Path) -> RunSettings:
    return RunSettings(store=folder, data_dir=folder, device="cpu")


def outcomes(store: Store, folder: Path, **given: object) -> dict[str, tuple[str, str]]:
    found = submission.check(store, str(store.root / "tables.toml"), settings(folder), **given)  # type: ignore[arg-type]
    return {each.name: (each.outcome, each.words) for each in found}


def row_key(store: Store, model: str = "mine.Net") -> str:
    (path,) = (store.root / "records").glob(f"*-{model}-*.json")
    return path.stem


def test_a_row_of_ones_own_stands_in_the_tables(made: Made, tmp_path: Path) -> None:
    store = published(made, tmp_path / "pub")
    names = [row["model"] for row in json.loads((store.root / "tables.json").read_text())["leaderboards"][0]["rows"]]
    assert sorted(names) == ["fc", "small"]
    assert "Sent in: small, by bench run --suite rows/tables/row/row.toml" in (store.root / "tables.md").read_text()
    folder = store.root / "rows" / "tables" / "row"
    assert {path.name for path in folder.iterdir()} == {"row.toml", "mine.py", "helper.py"}
    assert checks.problems(store, [str(store.root / "tables.toml")]) == []
    # and the code that was sent along is enough to do its run again, under the same key
    lookup.forget()
    assert [run.key for run in suites.read(str(folder / "row.toml")).runs()] == [row_key(store)]


def test_scores_can_be_computed_again_from_what_was_published(made: Made, tmp_path: Path) -> None:
    store = published(made, tmp_path / "pub")
    record = store.get(row_key(store))
    assert record is not None
    again = rescore(store, record)
    assert again.scores == record.scores
    assert again.intervals == record.intervals
    path = store.artifacts(record.key) / "logits.npz.gz"
    other = next(each for each in store.root.glob("artifacts/*/logits.npz.gz") if each != path)
    path.write_bytes(other.read_bytes())
    assert outcomes(store, tmp_path, runs=0)["scores"][0] == "refused"
    path.write_bytes(path.read_bytes()[:-9])
    assert "ends early" in outcomes(store, tmp_path, runs=0)["scores"][1]


def test_a_submission_is_checked_and_a_run_repeated(made: Made, tmp_path: Path) -> None:
    store = published(made, tmp_path / "pub")
    found = outcomes(store, tmp_path / "again")
    assert {name: outcome for name, (outcome, _) in found.items()} == dict.fromkeys(
        ("records", "code", "data", "scores", "tables", "again"), "ok"
    )
    assert "the same" in found["again"][1]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"dirty": True}, "uncommitted changes"),
        ({"commit": None}, "outside a git"),
        ({"commit": "f" * 40}, "no branch"),
    ],
)
def test_code_that_nobody_has_is_refused(made: Made, tmp_path: Path, changed: dict[str, object], words: str) -> None:
    store = published(made, tmp_path / "pub")
    record = made.store.get(row_key(made.store))
    assert record is not None
    own = Store(tmp_path / "own")
    shutil.copytree(made.store.root / "records", own.root / "records")
    shutil.copytree(made.store.root / "artifacts", own.root / "artifacts")
    own.write(with_commit(record, **changed))
    with pytest.raises(BenchError, match=words):
        publishing.publish(
            str(made.folder / "row.toml"), own, Store(tmp_path / "other"), into=str(store.root / "tables.toml")
        )
    assert not (tmp_path / "other").exists()
    # a store of one's own takes it, and says so
    mine = publishing.publish(str(made.folder / "row.toml"), own, Store(tmp_path / "mine"))
    assert words in mine.warnings[0]
    store.write(with_commit(record, **changed))
    outcome, why = outcomes(store, tmp_path, runs=0)["code"]
    assert outcome == "refused"
    assert words in why


def test_edited_scores_code_and_clips_are_refused(made: Made, tmp_path: Path) -> None:
    store = published(made, tmp_path / "pub")
    record = store.get(row_key(store))
    assert record is not None
    assert record.data is not None
    store.write(replace(record, scores=record.scores | {"accuracy": 0.99}))
    found = outcomes(store, tmp_path, runs=0)
    assert found["scores"][0] == found["tables"][0] == "refused"
    assert "accuracy 0.99" in found["scores"][1]
    store.write(replace(record, data=replace(record.data, manifest="0" * 64)))
    assert outcomes(store, tmp_path, runs=0)["data"][0] == "refused"
    store.write(record)
    (store.root / "rows/tables/row/helper.py").write_text("POOL = 16\n")
    assert outcomes(store, tmp_path, runs=0)["records"][0] == "refused"  # other code is another key


class Sent(NamedTuple):
    """A published store in git, whose head adds a row to its first commit."""

    store: Store

    def git(self, *arguments: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", "-C", str(self.store.root.parent), *who, *arguments], check=True, capture_output=True)

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-qm", "more")


@pytest.fixture
def sent(made: Made, tmp_path: Path) -> Sent:
    store = Store(tmp_path / "repository" / "pub")
    publishing.publish(str(made.folder / "tables.toml"), made.store, store)
    (store.root.parent / "README.md").write_text("# A\n\n<!-- table tables synthetic -->\n\nold\n\n<!-- end -->\n")
    found = Sent(store)
    found.git("init", "-q")
    found.commit()
    found.git("tag", "base")
    publishing.publish(str(made.folder / "row.toml"), made.store, store, into=str(store.root / "tables.toml"))
    return found


def test_a_row_that_is_not_committed_is_no_row_yet(sent: Sent, tmp_path: Path) -> None:
    words = outcomes(sent.store, tmp_path, base="base", runs=0)["rows"][1]
    assert "has changes that are not committed: commit them first" in words


def test_changed_code_of_a_row_is_named(sent: Sent, tmp_path: Path) -> None:
    (sent.store.root / "rows/tables/row/helper.py").write_text("POOL = 16\n")
    sent.commit()
    outcome, words = outcomes(sent.store, tmp_path, base="base", runs=0)["rows"]
    assert outcome == "refused"
    assert "is not what made them" in words
    assert row_key(sent.store) in words


def test_only_the_tables_of_a_readme_may_change(sent: Sent, tmp_path: Path) -> None:
    readme = sent.store.root.parent / "README.md"
    readme.write_text(readme.read_text().replace("old", "new"))
    sent.commit()
    assert outcomes(sent.store, tmp_path, base="base", runs=0)["files"][0] == "ok"
    readme.write_text(readme.read_text().replace("# A", "# B"))
    sent.commit()
    outcome, words = outcomes(sent.store, tmp_path, base="base", runs=0)["files"]
    assert outcome == "refused"
    assert "README.md (changed)" in words


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: {"confusion": tuple(reversed(r.confusion))}, "another confusion matrix"),
        (lambda r: {"per_class": dict.fromkeys(r.per_class, (1.0,) * len(r.classes))}, "other scores of its classes"),
        (lambda r: {"draws": tuple(reversed(r.draws))}, "other bootstrap draws"),
    ],
)
def test_all_that_follows_from_logits_is_checked(made: Made, tmp_path: Path, change: Any, words: str) -> None:
    store = published(made, tmp_path / "pub")
    record = store.get(row_key(store))
    assert record is not None
    store.write(replace(record, **change(record)))
    outcome, why = outcomes(store, tmp_path, runs=0)["scores"]
    assert outcome == "refused"
    assert words in why


def test_small_logits_must_come_along_and_sizes_are_counted_again(made: Made, tmp_path: Path) -> None:
    store = published(made, tmp_path / "pub")
    record = store.get(row_key(store))
    assert record is not None
    assert record.complexity is not None
    store.write(replace(record, complexity=replace(record.complexity, parameters=7)))
    assert "says parameters 7, and its repetition counts" in outcomes(store, tmp_path / "again")["size"][1]
    (store.artifacts(record.key) / "logits.npz.gz").unlink()
    assert "came without its logits" in outcomes(store, tmp_path, runs=0)["scores"][1]


def test_published_records_of_a_dirty_checkout_still_get_their_logits(made: Made, tmp_path: Path) -> None:
    store = published(made, tmp_path / "pub")
    record = made.store.get(row_key(made.store))
    assert record is not None
    own = Store(tmp_path / "own")
    shutil.copytree(made.store.root / "records", own.root / "records")
    shutil.copytree(made.store.root / "artifacts", own.root / "artifacts")
    own.write(with_commit(record, dirty=True))
    store.write(with_commit(record, dirty=True))
    packed = store.artifacts(record.key) / "logits.npz.gz"
    packed.unlink()
    into = str(store.root / "tables.toml")
    found = publishing.publish(str(made.folder / "row.toml"), own, store, into=into)
    assert packed.exists()
    assert "uncommitted changes" in found.warnings[0]


def test_the_published_logits_give_the_published_scores() -> None:
    store = Store(Path("leaderboards"))
    without = ("synthetic-", "audioset-embeddings-")  # never kept, and too large
    checked = set()
    for key in store.keys():  # noqa: SIM118 - a store is no mapping
        kept = store.artifacts(key) / "logits.npz.gz"
        assert kept.exists() or key.startswith(without), key
        kind = key.rsplit("-f", 1)[0].split("-")[0]
        if kept.exists() and kind not in checked:
            checked.add(kind)
            record = store.get(key)
            assert record is not None
            assert rescore(store, record) == record
    assert len(checked) >= 5


def test_a_row_must_fit_the_tables(made: Made, tmp_path: Path) -> None:
    store = published(made, tmp_path / "pub")
    for change, words in (
        (("seeds = [3]", "seeds = [4]"), "seeds = \\[3\\]"),
        (("clips_per_class = 20", "clips_per_class = 25"), "none with the same arguments"),
    ):
        folder = tmp_path / words[:4]
        shutil.copytree(made.folder, folder, ignore=shutil.ignore_patterns("runs"))
        file = folder / "row.toml"
        file.write_text(ROW.replace(*change))
        key = suites.read(str(file)).runs()[0].key
        record = made.store.get(row_key(made.store))
        assert record is not None
        own = Store(folder / "runs")
        own.write(replace(record, run=suites.read(str(file)).runs()[0]))
        assert own.keys() == [key]
        with pytest.raises(SuiteError, match=words):
            publishing.publish(str(file), own, store, into=str(store.root / "tables.toml"))
    assert checks.problems(store, [str(store.root / "tables.toml")]) == []


def test_only_new_rows_may_come(made: Made, tmp_path: Path) -> None:
    store = Store(tmp_path / "pub")
    publishing.publish(str(made.folder / "tables.toml"), made.store, store)

    def git(*arguments: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", "-C", str(store.root), *who, *arguments], check=True, capture_output=True)

    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "tables")
    assert outcomes(store, tmp_path, base="HEAD", runs=0)["rows"][0] == "refused"
    publishing.publish(str(made.folder / "row.toml"), made.store, store, into=str(store.root / "tables.toml"))
    git("add", "-A")
    git("commit", "-qm", "a row")
    assert outcomes(store, tmp_path, base="HEAD~1", runs=0)["files"][0] == "ok"
    fc = row_key(store, "fc")
    path = store.path(fc)
    record = store.get(fc)
    assert record is not None
    store.write(replace(record, scores=record.scores | {"accuracy": 0.0}))
    (store.root / "notes.txt").write_text("hello")
    git("add", "-A")
    git("commit", "-qm", "a row, and more")
    assert outcomes(store, tmp_path, base="HEAD~1", runs=0)["files"] == (
        "refused", f"more than records and rows: notes.txt (added), {path.name} (changed). Send that by itself"
    )  # fmt: skip
    with pytest.raises(BenchError, match="git knows no 'nothing'"):
        outcomes(store, tmp_path, base="nothing", runs=0)
