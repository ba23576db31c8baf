"""The line over `ray start`: a program in its place notes how it is called."""

from pathlib import Path

import pytest

from bench.errors import BenchError, SuiteError
from bench.runner import cluster

RAY = """#!/bin/sh
echo "$RAY_AUTH_MODE $*" >> "$NOTES"
echo "${RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER:-1} $1" >> "$NOTES.alone"
if [ "$1" = status ]; then echo "Active: 1 node"; fi
if [ "$1" = stop ]; then echo "Stopping"; echo "could not stop" >&2; exit 3; fi
if [ "$1" = get-auth-token ] && [ ! -e "$HOME/.ray/auth_token" ]; then
  mkdir -p "$HOME/.ray"
  echo token > "$HOME/.ray/auth_token"
  ls -l "$HOME/.ray/auth_token" | cut -c 1-10 > "$HOME/mode"
fi
"""


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "ray").write_text(RAY)
    (folder / "ray").chmod(0o755)
    monkeypatch.setattr("sys.executable", str(folder / "python"))
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    return tmp_path / "notes"


@pytest.mark.process
def test_a_cluster_starts_on_the_loopback_address_with_a_token(notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # as after a run on a cluster of its own
    said = cluster.up(cluster.Machine(cpus=2))
    assert notes.read_text().splitlines() == [
        "token get-auth-token --generate",
        "token start --head --port=6379 --node-ip-address=127.0.0.1 --include-dashboard=false --num-cpus=2 "
        "--disable-usage-stats",
    ]
    assert "It listens on 127.0.0.1 alone" in said
    open_to_all = cluster.up(cluster.Machine(host="10.0.0.1"))
    assert "--join 10.0.0.1:6379" in open_to_all
    assert "open on all addresses" in open_to_all
    starts = [line for line in Path(f"{notes}.alone").read_text().splitlines() if line.endswith("start")]
    assert starts == ["0 start", "1 start"]


@pytest.mark.parametrize(
    ("known", "named", "asked", "alone"),
    [
        (None, None, None, True),
        ("127.0.0.1:6379", None, None, True),
        ("127.0.0.1:6379", "auto", "127.0.0.1:6379", True),
        ("10.0.0.1:6379", None, None, False),
        ("10.0.0.1:6379", None, "127.0.0.1:6379", False),
        ("127.0.0.1:6379", "10.0.0.1:6379", None, False),
    ],
)
def test_a_cluster_of_this_machine_alone_is_known_by_its_address(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    known: str | None,
    named: str | None,
    asked: str | None,
    alone: bool,
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if named:
        monkeypatch.setenv("RAY_ADDRESS", named)
    if known:
        (tmp_path / "ray").mkdir()
        (tmp_path / "ray" / "ray_current_cluster").write_text(known)
    assert cluster.is_alone(asked) == alone


@pytest.mark.process
@pytest.mark.parametrize("known", [False, True])
def test_nobody_else_can_read_the_token(notes: Path, tmp_path: Path, known: bool) -> None:
    token = tmp_path / ".ray" / "auth_token"
    if known:  # Ray writes it with the rights of new files
        token.parent.mkdir()
        token.write_text("token")
        token.chmod(0o644)
    cluster.up(cluster.Machine())
    assert token.stat().st_mode & 0o777 == 0o600
    assert known or (tmp_path / "mode").read_text() == "-rw-------\n"  # from its beginning


@pytest.mark.process
def test_a_machine_joins_with_the_token_alone(notes: Path, tmp_path: Path) -> None:
    joining = cluster.Machine(join="10.0.0.1:6379", host="10.0.0.2", gpus=1)
    with pytest.raises(BenchError, match=r"copy ~/\.ray/auth_token"):
        cluster.up(joining)
    assert not notes.exists()
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("token")
    cluster.up(joining)
    assert notes.read_text().split("\n")[0] == (
        "token start --address=10.0.0.1:6379 --node-ip-address=10.0.0.2 --num-gpus=1 --disable-usage-stats"
    )
    for wrong in ({"join": "10.0.0.1:6379"}, {"join": "127.0.0.1:6379", "host": "10.0.0.2"}):
        with pytest.raises(SuiteError, match="needs the address of another machine, and --host"):
            cluster.Machine(**wrong).arguments()


@pytest.mark.process
@pytest.mark.parametrize("given", [None, "5"])
def test_trainings_stand_back_behind_no_other_program_unless_asked(
    notes: Path, monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    monkeypatch.delenv("RAY_worker_niceness", raising=False)
    if given is not None:
        monkeypatch.setenv("RAY_worker_niceness", given)
    (notes.parent / "bin" / "ray").write_text('#!/bin/sh\necho "niceness $RAY_worker_niceness"\n')
    assert cluster.status() == f"niceness {given or '0'}\n"


@pytest.mark.process
def test_what_ray_says_is_passed_on(notes: Path) -> None:
    assert "Active: 1 node" in cluster.status("10.0.0.1:6379")
    assert notes.read_text() == "token status --address=10.0.0.1:6379\n"
    with pytest.raises(BenchError, match="ray stop failed: could not stop"):
        cluster.down()


@pytest.mark.process
def test_a_second_start_names_our_own_commands(notes: Path) -> None:
    program = notes.parent / "bin" / "ray"
    said = (
        "ConnectionError: Ray is trying to start at 127.0.0.1:6379, but is already running at 127.0.0.1:6379. Please "
        "specify a different port using the `--port` flag of `ray start` command."
    )
    program.write_text(f"{RAY}if [ \"$1\" = start ]; then cat >&2 <<'END'\n{said}\nEND\nexit 1; fi\n")
    with pytest.raises(
        BenchError, match=r"runs on this machine already: `bench cluster status` .* `bench cluster down`"
    ):
        cluster.up(cluster.Machine())
    program.write_text(f"{RAY}if [ $1 = start ]; then echo no memory >&2; exit 1; fi\n")
    with pytest.raises(BenchError, match="ray start failed: no memory"):
        cluster.up(cluster.Machine())
    program.write_text(f"{RAY}if [ $1 = status ]; then echo no answer >&2; exit 1; fi\n")
    with pytest.raises(BenchError, match=r"start one with `bench cluster up`, or .* \(ray status failed: no answer\)$"):
        cluster.status()


def test_a_machine_without_ray_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(BenchError, match=r"\[ray\]"):
        cluster.status()
