"""Failures of W&B cost a suite neither records nor time."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.mirrored import FAILED, OK, SOON
from fakes.paths import PROJECT

from bench.records import Record
from bench.tracking import Mirror

pytestmark = pytest.mark.process

HOUR = 3600
"""Seconds that a hanging W&B takes; a call that returns within `SOON` has not waited for it, on any machine."""


@pytest.fixture
def fake_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put a module named wandb with this body of `init` before the real one, for child processes."""

    def install(body: str) -> Path:
        code = (
            "import os, pathlib, time\nfrom unittest.mock import MagicMock\nSettings = dict\nArtifact = MagicMock()\n"
            f"teardown = lambda: None\ndef init(**arguments):\n    {body}\n"
        )
        (tmp_path / "wandb.py").write_text(code)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        return tmp_path

    return install


def test_hanging_wandb_neither_slows_sending_nor_outlives_closing(
    fake_wandb: Callable[[str], Path], mirrored: Callable[..., Mirror]
) -> None:
    folder = fake_wandb(f"time.sleep({HOUR})")
    mirror = mirrored("offline", "quick", folder)
    child = mirror._child
    assert child is not None
    start = time.monotonic()
    for _ in range(2000):  # far more than a pipe holds
        mirror.record(OK)
    assert time.monotonic() - start < SOON
    warning = mirror.close(2.0)
    assert time.monotonic() - start < SOON
    assert warning is not None
    assert "did not finish within 2 s" in warning
    assert child.returncode == -signal.SIGKILL
    mirror.record(OK)  # nothing more happens
    assert mirror.close() is None


def test_a_long_queue_is_waited_for_offline_as_long_as_it_moves(
    fake_wandb: Callable[[str], Path], mirrored: Callable[..., Mirror]
) -> None:
    folder = fake_wandb("(pathlib.Path(__file__).parent / 'started').touch(); time.sleep(0.5); return MagicMock()")
    warnings = {}
    for mode in ("offline", "online"):
        mirror = mirrored(mode, "quick", folder / mode)
        for _ in range(8):
            mirror.record(FAILED)
        until(lambda: (folder / "started").exists(), seconds=SOON)
        (folder / "started").unlink()
        warnings[mode] = mirror.close(3.0)
    assert warnings["offline"] is None
    assert "did not finish within 3 s" in (warnings["online"] or "")


def test_dying_wandb_is_a_warning(fake_wandb: Callable[[str], Path], mirrored: Callable[..., Mirror]) -> None:
    mirror = mirrored("offline", "quick", fake_wandb("os._exit(9)"))
    mirror.record(OK)
    mirror.record(FAILED)
    warning = mirror.close(SOON)
    assert warning is not None
    assert "did not mirror everything" in warning


def test_one_failed_wandb_call_does_not_stop_the_next(
    fake_wandb: Callable[[str], Path], mirrored: Callable[..., Mirror]
) -> None:
    folder = fake_wandb("(pathlib.Path(__file__).parent / arguments['id']).touch(); raise OSError('quota exceeded')")
    mirror = mirrored("offline", "quick", folder)
    mirror.record(OK)
    mirror.record(FAILED)
    assert "did not mirror everything" in (mirror.close(SOON) or "")
    assert (folder / OK.key).exists()
    assert (folder / FAILED.key).exists()
    assert (folder / "mirror.log").read_text().count("OSError: quota exceeded") == 2


def test_a_record_that_is_not_json_is_a_warning(
    fake_wandb: Callable[[str], Path], mirrored: Callable[..., Mirror]
) -> None:
    mirror = mirrored("offline", "quick", fake_wandb("pass"))
    mirror.record(Record(run=OK.run, status="ok", scores={"accuracy": float("nan")}))
    assert "did not mirror everything" in (mirror.close(SOON) or "")


def test_child_ends_soon_after_its_parent_is_killed(
    fake_wandb: Callable[[str], Path], start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    folder = fake_wandb(f"time.sleep({HOUR})")
    code = (
        "import pathlib, sys, time; from bench.records import Record, Run; from bench.tracking import Mirror\n"
        "mirror = Mirror('offline', 'quick', pathlib.Path(sys.argv[1]))\n"
        "mirror.record(Record(run=Run(model='cnn', frontend='logmel', dataset='esc10'), status='ok'))\n"
        f"print(mirror._child.pid, flush=True); time.sleep({HOUR})"
    )
    parent = start([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True, cwd=PROJECT)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert running(pid)
    parent.kill()
    until(lambda: not running(pid), seconds=SOON)


def test_dead_server_is_left_and_leaves_no_process(
    tmp_path: Path, black_hole: str, monkeypatch: pytest.MonkeyPatch, mirrored: Callable[..., Mirror]
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", black_hole)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    mirror = mirrored("online", "quick", tmp_path)
    child = mirror._child
    assert child is not None
    mirror.record(OK)
    until(lambda: service_of(child.pid) is not None, seconds=SOON)
    service = service_of(child.pid)
    assert service is not None
    assert mirror.close(1.0) is not None  # does not wait for the server, which never answers
    until(lambda: not running(service), seconds=SOON)


def test_disabled_does_nothing(tmp_path: Path) -> None:
    with Mirror("disabled", "quick", tmp_path / "wandb") as mirror:
        mirror.record(OK)
        mirror.summary([("esc10", ["a"], [[1]])])
    assert not (tmp_path / "wandb").exists()


def running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def service_of(pid: int) -> int | None:
    """Return W&B's own service process of a child."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if arguments[0].endswith(b"wandb-core") and str(pid).encode() in arguments:
            return int(path.parent.name)
    return None


def until(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)
