"""Where a run ran: git's state, versions, cores, threads."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes.paths import PROJECT

from bench.profiling import environment
from bench.profiling.environment import cgroup_cores, git_state

Git = Callable[..., str]


@pytest.fixture
def git(tmp_path: Path) -> Git:
    """Run git in a new repository at `tmp_path` with two committed files."""

    def run(*arguments: str) -> str:
        identity = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false")
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    run("init", "--quiet")
    for name in ("code.py", "leaderboards/quick.md", "runs/x.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1\n")
    run("add", "--force", ".")
    run("commit", "--quiet", "-m", "first")
    return run


def test_clean_tree(tmp_path: Path, git: Git) -> None:
    assert git_state(tmp_path) == (git("rev-parse", "HEAD"), False)


def test_results_and_untracked_files_are_not_dirt(tmp_path: Path, git: Git) -> None:
    (tmp_path / "leaderboards" / "quick.md").write_text("2\n")
    (tmp_path / "runs" / "x.json").unlink()
    (tmp_path / "leaderboards" / "new.md").write_text("3\n")
    (tmp_path / "notes.txt").write_text("4\n")
    assert git("status", "--porcelain") != ""
    assert git_state(tmp_path)[1] is False


@pytest.mark.parametrize("stage", [False, True])
def test_changed_code_is_dirt(tmp_path: Path, git: Git, stage: bool) -> None:
    (tmp_path / "code.py").write_text("2\n")
    if stage:
        git("add", "code.py")
    assert git_state(tmp_path) == (git("rev-parse", "HEAD"), True)


def test_outside_git_there_is_no_commit(tmp_path: Path) -> None:
    assert git_state(tmp_path) == (None, False)


def test_a_folder_within_another_repository_has_no_commit(tmp_path: Path, git: Git) -> None:
    assert git("rev-parse", "HEAD")
    assert git_state(tmp_path / "runs") == (None, False)


def test_without_git_there_is_no_commit(tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    assert git("rev-parse", "HEAD")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(tmp_path) == (None, False)


def test_gits_own_variables_do_not_mislead(tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = git("rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert git_state(tmp_path) == (commit, False)


def test_environment_describes_this_process() -> None:
    found = environment.environment(3, "cpu")
    assert found.python == ".".join(map(str, sys.version_info[:3]))
    # the wheel with CUDA is called 2.13.0, and torch calls itself 2.13.0+cu130
    assert found.packages["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert found.packages["numpy"] == np.__version__
    assert set(found.packages) == {"torch", "torchaudio", "lightning", "numpy", "scipy", "soundfile", "soxr"}
    assert found.threads == 3
    assert found.gpu is None
    assert os.uname().machine in found.platform
    assert found.processor
    assert 1 <= found.cores <= (os.cpu_count() or 1)
    assert environment.environment(3, "cpu") is found


def test_the_gpu_is_named_only_where_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Some GPU")
    assert environment.environment(5, "cpu").gpu is None
    assert environment.environment(5, "cuda").gpu == "Some GPU"


@pytest.mark.process
def test_importing_does_not_import_torch() -> None:
    code = (
        "from bench.profiling import environment\nimport sys\n"
        "environment.environment(1, 'cpu')\nsys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PROJECT)


def test_set_threads_can_be_called_again_and_again() -> None:
    before = torch.get_num_threads()
    try:
        for threads in (2, 1):
            environment.set_threads(threads)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "150000 100000"}, 1.5),
        ({"cpu.max": "max 100000"}, None),
        ({"a/b/cpu.max": "400000 100000", "a/cpu.max": "200000 100000", "cpu.max": "max 100000"}, 2.0),
        ({}, None),
        ({"cpu.max": "nonsense"}, None),
    ],
)
def test_quota_of_control_groups_version_2(tmp_path: Path, files: dict[str, str], cores: float | None) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content + "\n")
    (tmp_path / "membership").write_text("0::/a/b\n")
    assert cgroup_cores(tmp_path, tmp_path / "membership") == cores


@pytest.mark.parametrize(("quota", "cores"), [("250000", 2.5), ("-1", None)])
def test_quota_of_control_groups_version_1(tmp_path: Path, quota: str, cores: float | None) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000")
    (tmp_path / "membership").write_text("4:cpu,cpuacct:/a\n")
    assert cgroup_cores(tmp_path, tmp_path / "membership") == cores


def test_usable_cores_is_the_lesser_of_affinity_and_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    for quota, cores in ((None, 4), (8.0, 4), (2.5, 2), (0.5, 1)):
        monkeypatch.setattr(environment, "cgroup_cores", lambda *_, quota=quota: quota)
        assert environment.usable_cores() == cores
