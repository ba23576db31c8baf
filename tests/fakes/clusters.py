"""A cluster in this process, with as much of Ray's interface as the executor uses. Tasks run when they are asked."""

from types import SimpleNamespace
from typing import Any


class RayError(Exception):
    pass


def identity(name: str) -> str:
    """Return Ray's name of a machine whose name is one letter: 28 bytes, here all the same."""
    return name.encode().hex() * 28


def name_of(identity: str) -> str:
    return bytes.fromhex(identity[:2]).decode()


class Reference:
    def __init__(self, value: Any) -> None:
        self.value = value


class Stream:
    """What a task yields; it ends with an error where its machine is dead."""

    def __init__(self, values: Any, machine: dict[str, Any]) -> None:
        self.values = values
        self.machine = machine

    def __next__(self) -> Reference:
        if not self.machine["Alive"]:
            raise RayError("something\nthe machine has died")
        return Reference(next(self.values))


class Cluster:
    """Machines by name, each with its processors; `identities` are what they answer."""

    exceptions = SimpleNamespace(RayError=RayError)

    def __init__(self, machines: dict[str, float], identities: dict[str, dict[str, str]]) -> None:
        self.identities = identities
        self.machines = [
            {"NodeID": identity(name), "Alive": True, "NodeManagerHostname": name, "NodeManagerAddress": "10.0.0.1",
             "Resources": {"CPU": cpus}}
            for name, cpus in machines.items()
        ]  # fmt: skip
        self.submitted: list[str] = []
        self.works: Any = None

    def machine(self, name: str) -> dict[str, Any]:
        return next(each for each in self.machines if each["NodeManagerHostname"] == name)

    def nodes(self) -> list[dict[str, Any]]:
        return [dict(each) for each in self.machines]

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(get_node_id=lambda: self.machines[0]["NodeID"])

    def cancel(self, stream: Stream, force: bool) -> None:
        stream.values = iter(())

    def wait(self, given: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        return given[: _.get("num_returns", 1)], []

    def get(self, reference: Reference) -> Any:
        if isinstance(reference.value, Exception):
            raise reference.value
        return reference.value

    def remote(self, called: Any) -> Any:
        def options(scheduling_strategy: Any, **kinds: Any) -> Any:
            machine = self.machine(name_of(scheduling_strategy.node_id))
            if isinstance(called, type):
                made = called()
                reading = SimpleNamespace(remote=lambda *given: Reference(made.read(*given)))
                offering = SimpleNamespace(remote=lambda *given: Reference(made.offer(*given)))
                return SimpleNamespace(remote=lambda: SimpleNamespace(read=reading, offer=offering))
            if kinds.get("num_returns") == "streaming":

                def submit(parcel: Any, *_: Any) -> Stream:
                    self.submitted.append(f"{parcel.run.key} {machine['NodeManagerHostname']}")
                    return Stream(self.works(parcel, machine), machine)

                return SimpleNamespace(remote=submit)
            return SimpleNamespace(remote=lambda: Reference(self.identities[machine["NodeManagerHostname"]]))

        return SimpleNamespace(options=options)
