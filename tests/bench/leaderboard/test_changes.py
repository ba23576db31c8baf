"""The changes of the tables since a release, from JSON tables and from git."""

import contextlib
import json
import subprocess

import pytest

from bench.cli import main
from bench.errors import BenchError, RecordError
from bench.leaderboard import changes
from bench.records import Store
from bench.runner.releases import keep_release


def table(*rows, metric="accuracy"):
    """Return a JSON table of rows (name, score, rank)."""
    made = [
        {"model": name, "frontend": "none", "low": score - 0.1, "high": score + 0.1, "rank": rank, metric: score}
        for name, score, rank in rows
    ]
    return {"title": "T", "leaderboards": [{"dataset": "esc10", "primary": metric, "rows": made}]}


def page(tmp_path, before, now):
    (tmp_path / "api").mkdir(exist_ok=True)
    (tmp_path / "api" / changes.FILE).write_text(changes.release_text("1.0", "0123456789abcdef", "2026-01-31", before))
    return changes.page(changes.read(tmp_path), now)


def test_rows_that_came_went_and_moved(tmp_path):
    before = {"s": table(("a", 0.9, 1), ("b", 0.8, 2), ("c", 0.7, 3), ("d", 0.6, 4))}
    now = {"s": table(("b", 0.85, 1), ("e", 0.8, 1), ("c", 0.7001, 3), ("d", 0.6, 4))}
    text = page(tmp_path, before, now)
    assert text.startswith("# What changed since 1.0\n")
    assert "commit 0123456789 of 2026-01-31" in text
    assert "- **New rows**: e 80.0 [70.0, 90.0]" in text
    assert "- **Removed rows**: a 90.0 [80.0, 100.0]" in text
    assert "| b | 80.0 [70.0, 90.0] | 85.0 [75.0, 95.0] | 2 | 1 |" in text
    assert "- **Other digits only**: 1 row with" in text
    assert "| c |" not in text
    assert "| d |" not in text


def test_tables_that_came_went_or_stayed(tmp_path):
    one, two = table(("a", 0.9, 1)), table(("a", 0.9, 1), metric="mAP")
    text = page(tmp_path, {"old": one, "same": one, "other": one}, {"new": one, "same": one, "other": two})
    assert "## new, esc10\n\n- **New table**: 1 row\n" in text
    assert "## old, esc10\n\n- **Removed table**: 1 row\n" in text
    assert "## other, esc10\n\n- **Main score**: mAP, before accuracy\n" in text
    assert text.endswith("\nNo change: same, esc10.\n")


def test_a_damaged_file_names_its_remedy(tmp_path):
    assert changes.read(tmp_path) is None
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / changes.FILE).write_text("{}")
    with pytest.raises(RecordError, match="bench changes --since"):
        changes.read(tmp_path)


@pytest.mark.process
def test_a_release_is_read_from_git(tmp_path, monkeypatch, capsys):
    root = tmp_path / "leaderboards"
    root.mkdir()

    def git(*arguments):
        subprocess.run(
            ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments], check=True
        )

    (root / "s.json").write_text(json.dumps(table(("a", 0.9, 1))))
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "one")
    git("tag", "v1")
    (root / "s.json").write_text(json.dumps(table(("a", 0.9, 1), ("b", 0.8, 2))))
    store = Store(root)
    assert str(root / "CHANGES.md") in keep_release(store, "v1")
    assert "# What changed since v1\n" in (root / "CHANGES.md").read_text()
    assert "- **New rows**: b 80.0" in (root / "CHANGES.md").read_text()
    assert "(CHANGES.md)" in (root / "README.md").read_text()
    monkeypatch.setattr(
        "sys.argv", ["bench", "changes", "--since", "HEAD", "--name", "1.0", "--store", str(root), "--json"]
    )
    with contextlib.suppress(SystemExit):
        main()
    assert str(root / "api" / changes.FILE) in json.loads(capsys.readouterr().out)["written"]
    assert "# What changed since 1.0\n" in (root / "CHANGES.md").read_text()
    for wrong in ("v2", "--all"):
        with pytest.raises(BenchError, match="name a tag, a branch or a commit"):
            keep_release(store, wrong)
    git("rm", "-q", "--cached", "-r", ".")
    git("commit", "-qm", "two")
    with pytest.raises(BenchError, match="has no tables of"):
        keep_release(store, "HEAD")
