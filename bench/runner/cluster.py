"""Starting and ending this machine's part of a Ray cluster: a thin line over the command `ray`, with its tokens on."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from bench.errors import BenchError, SuiteError
from bench.extras import install

LOOPBACK = "127.0.0.1"
PORT = 6379
SETTINGS = {"RAY_health_check_failure_threshold": "12", "RAY_worker_niceness": "0"}
"""Ray's settings that differ from its own, unless the environment has others: how many questions in a row a machine
leaves unanswered until it counts as lost (with Ray's 5, a network that was cut for 30 seconds has been seen to cost a
machine), and how far its trainings stand back behind other programs (Ray's 15 leaves them little of a busy machine)."""

ALONE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Lets Ray listen only on the loopback address. Without it, Ray on Linux takes the machine's own address in its place,
and listens on all addresses."""

OPEN_TO_ALL = dict.fromkeys(ALONE, "1")
"""Ray's default on Linux, also where this process has run on a cluster of this machine alone."""

OPEN = (
    "Ray's ports are open on all addresses of this machine, and answer only with the token: let a firewall close them "
    "to other networks"
)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """This machine's part.

    Attributes:
        host: its address, by which the other machines reach it; Ray then listens on all addresses. None is the loopback
            address, on which no other machine reaches it.
        join: HOST:PORT of the cluster's first machine; None is this one.
        port: of the first machine.
        cpus: processors to use; None for all.
        gpus: GPUs to use; None for all.
    """

    host: str | None = None
    join: str | None = None
    port: int = PORT
    cpus: int | None = None
    gpus: int | None = None

    def arguments(self) -> list[str]:
        """Return the arguments of `ray` that start it.

        Raises:
            SuiteError: a machine joins another one without an address of its own.
        """
        if self.join is None:
            words = ["start", "--head", f"--port={self.port}", f"--node-ip-address={self.host or LOOPBACK}"]
            words.append("--include-dashboard=false")
        else:
            if self.host is None or _is_loopback(self.join):
                raise SuiteError(
                    "--join needs the address of another machine, and --host, this machine's address in their network"
                )
            words = ["start", f"--address={self.join}", f"--node-ip-address={self.host}"]
        words += [
            f"--num-{name}={count}" for name, count in (("cpus", self.cpus), ("gpus", self.gpus)) if count is not None
        ]
        return [*words, "--disable-usage-stats"]


def up(machine: Machine) -> str:
    """Start this machine's part, and return what to do next.

    Raises:
        BenchError: Ray is not installed or refuses, a cluster runs here, or there is no token of the cluster to join.
    """
    words = machine.arguments()
    if machine.join is None:
        _ray("get-auth-token", "--generate", umask=0o077)
        with contextlib.suppress(FileNotFoundError):
            _token().chmod(0o600)  # one that Ray has written before
    elif not _has_token(os.environ):
        raise BenchError(
            "there is no token of the cluster: copy ~/.ray/auth_token of its first machine to this one, readable by "
            "you alone, or set RAY_AUTH_TOKEN"
        )
    try:
        _ray(*words, settings=OPEN_TO_ALL if machine.host else ALONE)
    except BenchError as error:
        if "is already running at" not in str(error):
            raise
        raise BenchError(
            "a cluster runs on this machine already: `bench cluster status` shows it, and `bench cluster down` ends it"
        ) from error
    if machine.join is not None:
        return f"joined; the first machine's `bench cluster status` shows it. {OPEN}"
    if machine.host is None:
        return (
            f"bench run --executor ray uses this cluster. It listens on {LOOPBACK} alone: for other machines, start it "
            f"with --host"
        )
    return (
        f"bench run --executor ray uses this cluster. Other machines: copy ~/.ray/auth_token, then bench cluster up "
        f"--join {machine.host}:{machine.port} --host THEIR-ADDRESS. {OPEN}"
    )


def down() -> None:
    """End this machine's part: every process of Ray on it.

    Raises:
        BenchError: Ray is not installed or refuses.
    """
    _ray("stop")


def status(address: str | None = None) -> str:
    """Return the cluster's machines and what is in use, in Ray's words.

    Args:
        address: HOST:PORT of the first machine; None is RAY_ADDRESS, or else this machine's cluster.

    Raises:
        BenchError: Ray is not installed, or no cluster answers.
    """
    given = [f"--address={address}"] if address else []
    _command(())  # which refuses where Ray is not installed
    try:
        return _ray("status", *given, settings=ALONE if is_alone(address) else OPEN_TO_ALL)
    except BenchError as error:
        raise BenchError(
            f"no cluster answers: start one with `bench cluster up`, or name one by --address HOST:PORT. ({error})"
        ) from error


def is_alone(address: str | None = None) -> bool:
    """Whether the cluster that Ray finds is of this machine alone, or is still to be started.

    Args:
        address: HOST:PORT of the first machine; None is RAY_ADDRESS, or else this machine's cluster.
    """
    address = address or os.environ.get("RAY_ADDRESS") or "auto"
    if address == "auto":
        return (known := _known()) is None or _is_loopback(known)
    return _is_loopback(address) and _is_loopback(_known() or "")


def _known() -> str | None:
    """Return the address that Ray has noted of this machine's cluster; None where there is none."""
    try:
        return (Path(os.environ.get("RAY_TMPDIR") or "/tmp") / "ray" / "ray_current_cluster").read_text().strip()
    except OSError:
        return None


def _is_loopback(address: str) -> bool:
    return address.rpartition(":")[0] in (LOOPBACK, "localhost", "::1", "[::1]")


def _has_token(variables: Mapping[str, str]) -> bool:
    if variables.get("RAY_AUTH_TOKEN"):
        return True
    given = variables.get("RAY_AUTH_TOKEN_PATH")
    return (Path(given) if given else _token()).is_file()


def _token() -> Path:
    """Return where Ray writes its token."""
    return Path.home() / ".ray" / "auth_token"


def _ray(*arguments: str, umask: int = -1, settings: Mapping[str, str] = MappingProxyType({})) -> str:
    """Call Ray's command, and return what it prints; -1 keeps the rights of new files."""
    command = _command(arguments)
    variables = {**SETTINGS, **os.environ, **settings, "RAY_AUTH_MODE": "token"}
    done = subprocess.run(command, capture_output=True, text=True, env=variables, umask=umask, check=False)
    if done.returncode:  # Ray's errors are in its standard error, and what it does meanwhile in its output
        lines = [line for said in (done.stdout, done.stderr) for line in said.splitlines() if line.strip()]
        raise BenchError(f"ray {arguments[0]} failed: {lines[-1] if lines else f'exit code {done.returncode}'}")
    return done.stdout


def _command(arguments: Sequence[str]) -> list[str]:
    beside = Path(sys.executable).with_name("ray")
    if not beside.exists():
        raise BenchError(f"a cluster needs Ray: {install('ray')}")
    return [str(beside), *arguments]
