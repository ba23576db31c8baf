"""Errors of the operating system: one line, with a remedy that fits."""

import errno

import pytest

from bench.cli import main as entry


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free space"),
        (errno.EFBIG, "raise the limit that `ulimit -f` shows"),
        (errno.EROFS, "folder that can be written"),
        (errno.ENOTDIR, "can be written"),
        (errno.ENOENT, "look at the name"),
    ],
)
def test_a_disk_that_cannot_be_written_is_a_line_with_a_remedy(monkeypatch, capsys, number, remedy):
    def fail(*arguments, **options):
        raise OSError(number, "cannot write", "somewhere")

    monkeypatch.setattr("bench.suites.reading.read", fail)
    monkeypatch.setattr("bench.suites.read", fail)
    monkeypatch.setattr("sys.argv", ["bench", "compare", "a", "b", "--suite", "smoke"])
    with pytest.raises(SystemExit) as end:
        entry()
    assert end.value.code == 1
    words = " ".join(capsys.readouterr().err.split())
    assert remedy in words
    assert "'somewhere': cannot write" in words
    assert "Errno" not in words
