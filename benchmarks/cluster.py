"""A Ray cluster of three machines that share nothing: network namespaces on this one. Needs Linux, root and Ray.

    sudo .venv/bin/python benchmarks/cluster.py [--stages same killed driver speed limits]

Each machine has a network, processes, a temporary folder, a home and a store folder of its own; the first one is the
cluster's first machine, trains nothing, and is where `bench run` runs. The stages:

- same: all runs on two machines; every record equals the one of a single machine without Ray, key by key.
- killed: one machine is killed and the other one's network is cut for 30 s in the middle of the suite. A third one
  joins while it runs.
- driver: `bench run` is killed in the middle and started again.
- speed: runs per hour on two machines and on one, and the time that a run takes longer than without Ray. The runs
  wait instead of computing, because the three machines share the processor of this one.
- limits: models that hang, or take too long, fail with the stack of where they were, and the other runs are done.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

from fakes import esc50  # noqa: E402

from bench.profiling.environment import processor  # noqa: E402
from bench.records import Record, Store  # noqa: E402

BRIDGE = "benchbr0"
NETWORK = "10.219.0"
HEAD = f"{NETWORK}.1"
SUITE = """
models = [{models}]
datasets = [{datasets}]
seeds = [{seeds}]
frontends = ["logmel-1s"]
[recipe]
epochs = {epochs}
batch_size = 8
[dataset.synthetic]
clips_per_class = {clips}
clip_seconds = 0.5
"""
MODELS = """
import time

from models.fc import FC


class Waits(FC):
    waited = False

    def training_step(self, *batch):
        if not self.waited:
            self.waited = True
            time.sleep({seconds})
        return super().training_step(*batch)


class Hangs(FC):
    def training_step(self, *batch):
        time.sleep(10_000)


class Slow(FC):
    def training_step(self, *batch):
        time.sleep(0.5)
        return super().training_step(*batch)
"""


def call(*words: object) -> None:
    """Call a program that must succeed."""
    subprocess.run(list(map(str, words)), check=True)


class Machine:
    """A machine: a network namespace at an address, with processes and folders of its own.

    Args:
        number: of the machine, from 1.
        scratch: for its folders.
        token: of the cluster.
    """

    def __init__(self, number: int, scratch: Path, token: str) -> None:
        self.name = f"bench{number}"
        self.address = f"{NETWORK}.{number}"
        self.folder = scratch / self.name
        self.tmp = self.folder / "tmp"
        for name in ("tmp", "home", "node"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.variables = os.environ | {
            "HOME": str(self.folder / "home"), "BENCH_NODE_DIR": str(self.folder / "node"), "RAY_AUTH_TOKEN": token,
            "RAY_AUTH_MODE": "token", "PYTHONPATH": f"{PROJECT}:{PROJECT / 'tests'}", "OMP_NUM_THREADS": "1",
            "RAY_ADDRESS": f"{HEAD}:6379",
        }  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None
        call("ip", "netns", "add", self.name)
        call("ip", "link", "add", f"{self.name}v", "type", "veth", "peer", "name", "eth0", "netns", self.name)
        call("ip", "link", "set", f"{self.name}v", "master", BRIDGE, "up")
        call("ip", "-n", self.name, "addr", "add", f"{self.address}/24", "dev", "eth0")
        call("ip", "-n", self.name, "link", "set", "eth0", "up")
        call("ip", "-n", self.name, "link", "set", "lo", "up")

    def up(self, *options: object) -> None:
        """Start the machine, whose first process starts its part of the cluster."""
        command = " ".join([sys.executable, "-m", "bench", "cluster", "up", "--host", self.address, *map(str, options)])
        shared = tempfile.gettempdir()  # Ray keeps its sockets there, so each machine needs one of its own
        script = (
            f"mount --bind {self.tmp} {shared} && hostname {self.name} && {command} && touch {shared}/up; sleep 100000"
        )
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", self.name, "unshare", "--pid", "--fork", "--kill-child", "--uts", "--mount",
             "--mount-proc", "sh", "-c", script],
            env=self.variables, cwd=PROJECT, stdout=(self.folder / "log").open("ab"), stderr=subprocess.STDOUT,
        )  # fmt: skip
        until = time.monotonic() + 180
        while not (self.tmp / "up").exists():
            if time.monotonic() > until:
                sys.exit(f"{self.name} did not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.2)

    def inside(self, *words: object) -> list[str]:
        """Return a command that runs in this machine, which is up."""
        assert self.process is not None
        children = Path(f"/proc/{self._unshared()}/task/{self._unshared()}/children").read_text().split()
        enter = ["nsenter", "--target", children[0], "--net", "--pid", "--uts", "--mount", f"--wd={PROJECT}"]
        return [*enter, *map(str, words)]

    def _unshared(self) -> int:
        """Return the number of the process whose child is the machine's first: `ip` becomes `unshare`."""
        assert self.process is not None
        return self.process.pid

    def cut(self, seconds: float) -> None:
        """Cut the machine's network for some time."""
        call("ip", "link", "set", f"{self.name}v", "down")
        time.sleep(seconds)
        call("ip", "link", "set", f"{self.name}v", "up")

    def kill(self) -> None:
        """End every process of the machine at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
            (self.tmp / "up").unlink(missing_ok=True)

    def remove(self) -> None:
        """Kill the machine and remove its network."""
        self.kill()
        subprocess.run(["ip", "netns", "del", self.name], check=False)


def suite(folder: Path, **values: object) -> Path:
    """Write a suite to a file and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    lists = {"models": '"fc", "cnn", "lstm-skip"', "datasets": '"synthetic", "esc50"', "seeds": "0, 1"}
    text = SUITE.format(**({"epochs": 8, "clips": 40} | lists | values))
    (folder / "cluster.toml").write_text(text)
    return folder / "cluster.toml"


def bench(given: Path, store: Path, data: Path, *options: object) -> list[str]:
    """Return the command that does a suite."""
    return [
        sys.executable, "-m", "bench", "run", "--suite", str(given), "--store", str(store), "--data-dir", str(data),
        "--device", "cpu", "--no-timing", "--wandb", "disabled", *map(str, options),
    ]  # fmt: skip


def done(command: Sequence[str], machine: Machine | None = None) -> float:
    """Run a command to its end, in a machine or on this one, and return its seconds; it has to end well."""
    began = time.monotonic()
    words = machine.inside(*command) if machine else list(command)
    variables = machine.variables if machine else os.environ | {"PYTHONPATH": f"{PROJECT}:{PROJECT / 'tests'}"}
    ended = subprocess.run(words, env=variables, cwd=PROJECT, capture_output=True, text=True, check=False)
    if ended.returncode:
        sys.exit(f"exit code {ended.returncode}: {ended.stdout[-3000:]} {ended.stderr[-3000:]}")
    for line in ended.stdout.splitlines():
        if any(word in line for word in ("machine", "lost", "again")):
            say(f"    {line}")
    return time.monotonic() - began


def results(store: Path) -> dict[str, Record]:
    """Return the finished records of a store by key."""
    place = Store(store)
    keys = place.keys()
    return {key: record for key in keys if (record := place.get(key)) and record.status == "ok"}


def compare(there: Path, here: dict[str, Record]) -> bool:
    """Say how many records of a store are those of a single machine; return whether all are."""
    found = results(there)
    same = sum(
        key in found
        and (found[key].scores, found[key].curves, found[key].draws, found[key].artifacts)
        == (one.scores, one.curves, one.draws, one.artifacts)
        for key, one in here.items()
    )
    left = [*(there / "artifacts").glob("*/.tmp-*")]
    say(f"  {same} of {len(here)} runs as on a single machine, {len(found) - len(here)} more, {len(left)} left behind")
    return same == len(here) == len(found) and not left


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def wait_for(store: Path, count: int, process: "subprocess.Popen[bytes]", run: str = "") -> None:
    """Wait until a store has so many results."""
    while len(list((store / "records").glob("*.json"))) < count:
        if process.poll() is not None:
            sys.exit(f"the suite ended early{run}")
        time.sleep(0.1)


def main() -> None:
    """Do the stages, and print what comes of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stages", nargs="+", default=["same", "driver", "speed", "limits", "killed"])
    parser.add_argument("--folder", type=Path, help="keep everything here; not below /tmp")
    parser.add_argument("--seconds", type=float, default=10.0, help="of a run of the stage speed")
    parser.add_argument("--runs", type=int, default=8, help="of the stage speed")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    scratch = given.folder or Path(
        tempfile.mkdtemp(prefix="bench-cluster-", dir="/var/tmp")
    )  # each machine has its own /tmp
    scratch.mkdir(parents=True, exist_ok=True)
    scratch.chmod(0o755)
    say(f"{processor()}, three machines in network namespaces")
    call("ip", "link", "add", BRIDGE, "type", "bridge")
    call("ip", "link", "set", BRIDGE, "up")
    machines: list[Machine] = []
    good = True
    try:
        machines += [Machine(number, scratch, os.urandom(16).hex() * 2) for number in (1,)]
        token = machines[0].variables["RAY_AUTH_TOKEN"]
        machines += [Machine(number, scratch, token) for number in (2, 3, 4)]
        head, one, two, three = machines
        data, home = scratch / "data", scratch / "suite"
        if not data.exists():
            esc50.write(data / "esc50")
        all_runs = suite(home)
        head.up("--num-cpus", 0)
        one.up("--join", f"{HEAD}:6379", "--num-cpus", 1)
        if not {*given.stages} <= {"speed", "limits"}:
            took = done(bench(all_runs, scratch / "single", data, "--workers", 1))
            here = results(scratch / "single")
            say(f"a single machine without Ray: {len(here)} runs, {took:.0f} s")
        two.up("--join", f"{HEAD}:6379", "--num-cpus", 1)
        ray = ("--executor", "ray")
        if "same" in given.stages:
            took = done(bench(all_runs, head.folder / "same", data, *ray), head)
            say(f"same: {took:.0f} s")
            good &= compare(head.folder / "same", here)
        if "driver" in given.stages:
            store = head.folder / "driver"
            driver = subprocess.Popen(
                head.inside(*bench(all_runs, store, data, *ray)), env=head.variables, cwd=PROJECT,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            wait_for(store, 4, driver)
            kill_inside(head)
            driver.wait()
            before = {key: record.started for key, record in results(store).items()}
            took = done(bench(all_runs, store, data, *ray), head)
            after = results(store)
            again = sum(after[key].started != began for key, began in before.items())
            say(f"driver: killed after {len(before)} runs, {again} of them done again; {took:.0f} s to the end")
            good &= compare(store, here) and not again
        if "speed" in given.stages:
            good &= speed(scratch, head, given.seconds, given.runs)
        if "limits" in given.stages:
            good &= limits(scratch, head)
        if "killed" in given.stages:
            store = head.folder / "killed"
            driver = subprocess.Popen(
                head.inside(*bench(all_runs, store, data, *ray)), env=head.variables, cwd=PROJECT,
                stdout=(scratch / "killed.log").open("wb"), stderr=subprocess.STDOUT,
            )  # fmt: skip
            wait_for(store, 2, driver)
            say(f"killed: {one.name} is killed, and the network of {two.name} is cut for 30 s")
            one.kill()
            two.cut(30)
            three.up("--join", f"{HEAD}:6379", "--num-cpus", 1)
            code = driver.wait()
            for line in (scratch / "killed.log").read_text().splitlines():
                if any(word in line for word in ("machine", "lost", "again")):
                    say(f"    {line}")
            say(f"  exit code {code}")
            good &= compare(store, here) and not code
    finally:
        for machine in machines:
            machine.remove()
        subprocess.run(["ip", "link", "del", BRIDGE], check=False)
        if not given.folder:
            shutil.rmtree(scratch, ignore_errors=True)
    say("all as it should be" if good else "NOT as it should be")
    sys.exit(not good)


def kill_inside(machine: Machine) -> None:
    """Kill the driver in a machine; the script sees the processes of this machine alone."""
    script = f"""
import os
for name in filter(str.isdigit, os.listdir("/proc")):
    if int(name) != os.getpid() and b"--executor" in open(f"/proc/{{name}}/cmdline", "rb").read():
        os.kill(int(name), {int(signal.SIGKILL)})
"""
    subprocess.run(machine.inside(sys.executable, "-c", script), env=machine.variables, check=True)


def speed(scratch: Path, head: Machine, each: float, count: int) -> bool:
    """Time runs of equal length on one machine and on two, and without Ray."""
    data = scratch / "data"
    equal = suite(scratch / "equal", models='"own:Waits"', datasets='"synthetic"',
                  seeds=", ".join(map(str, range(count))), epochs=1, clips=10)  # fmt: skip
    (scratch / "equal" / "own.py").write_text(MODELS.format(seconds=each))
    done(bench(equal, head.folder / "warm", data, "--executor", "ray", "--seed", 0, "--seed", 1), head)
    say("speed: the machines are warm")
    whole, steady = {}, {}
    for name, options in (
        ("two", ("--executor", "ray")), ("one", ("--executor", "ray", "--workers", 1)), ("none", ("--workers", 1)),
    ):  # fmt: skip
        store = head.folder / f"speed-{name}"
        whole[name] = done(bench(equal, store, data, *options), head)
        ends = sorted(path.stat().st_mtime for path in (store / "records").glob("*.json"))
        ahead = 2 if name == "two" else 1  # the first runs of the machines
        steady[name] = (ends[-1] - ends[ahead - 1]) / (len(ends) - ahead)
        say(f"  {name}: {whole[name]:.1f} s, a run every {steady[name]:.2f} s")
    ratio, more = whole["one"] / whole["two"], (whole["one"] - whole["none"]) / count
    say(
        f"speed: {count} runs of {each:g} s, two machines {whole['two']:.1f} s, one {whole['one']:.1f} s (ratio "
        f"{ratio:.2f}; without the command's start and end {steady['one'] / steady['two']:.2f}), without Ray "
        f"{whole['none']:.1f} s ({more:.2f} s more a run; {steady['one'] - steady['none']:.2f} s)"
    )
    return steady["one"] / steady["two"] >= 1.7 and steady["one"] - steady["none"] <= 1


def limits(scratch: Path, head: Machine) -> bool:
    """Let models hang and take too long; both fail with where they were, and the run between them is done."""
    given = suite(scratch / "limits", models='"own:Hangs", "fc", "own:Slow"', datasets='"synthetic"', seeds="0",
                  epochs=20, clips=10)  # fmt: skip
    (scratch / "limits" / "own.py").write_text(MODELS.format(seconds=0))
    store = head.folder / "limits"
    began = time.monotonic()
    ended = subprocess.run(
        head.inside(
            *bench(given, store, scratch / "data", "--executor", "ray", "--stall-minutes", 0.2, "--run-hours", 0.01)
        ),
        env=head.variables, cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    say(f"limits: exit code {ended.returncode} after {time.monotonic() - began:.0f} s")
    place = Store(store)
    found = {record.run.model: record for record in map(place.get, place.keys()) if record}
    for name, record in found.items():
        say(f"  {name}: {record.status} {record.error.message if record.error else ''}")
    errors = {name: record.error for name, record in found.items() if record.error}
    return (
        ended.returncode == 1
        and found["fc"].status == "ok"
        and {*errors} == {"own:Hangs", "own:Slow"}
        and "--stall-minutes" in errors["own:Hangs"].message
        and "--run-hours" in errors["own:Slow"].message
        and all("training_step" in error.message + error.traceback for error in errors.values())
    )


if __name__ == "__main__":
    main()
