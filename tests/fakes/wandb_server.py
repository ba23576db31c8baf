"""A stand-in for W&B's server, to which W&B's real client uploads: runs, files and artifacts, kept in memory.

It answers what the client (0.31) asks for when it opens, resumes and finishes runs, logs artifacts, and lists runs.
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fakes.answering import answering

ENTITY = "somebody"


@dataclass
class Kept:
    """A run as the server has it.

    Attributes:
        config: name to value.
        history: one dict for each `log`.
        summary: name to value.
        opened: how often it was opened.
        state: "running", "finished" or "failed".
        group: of the run.
        files: name to content.
    """

    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    opened: int = 0
    state: str = "running"
    group: str = ""
    files: dict[str, bytes] = field(default_factory=dict)


class WandbServer:
    """The server.

    Attributes:
        url: its address.
        runs: by id.
        artifacts: names, one for each that was committed.
        status: answers of this status are given from now on; 200 for real ones.
        fails_after: number of requests after which the status is 507; None for never.
        asked: number of requests.
    """

    def __init__(self) -> None:
        self.url = ""
        self.runs: dict[str, Kept] = {}
        self.artifacts: list[str] = []
        self.status = 200
        self.asked = 0
        self.fails_after: int | None = None
        self._lock = threading.Lock()
        self._artifacts: dict[str, str] = {}

    def graphql(self, query: str, values: dict[str, Any]) -> dict[str, Any]:
        """Answer a question."""
        for name in ("upsertBucket", "createRunFiles", "createArtifactManifest", "createArtifactFiles",
                     "updateArtifactManifest", "createArtifact", "commitArtifact", "serverInfo"):  # fmt: skip
            if re.search(rf"\b{name}\b", query):
                return {name: getattr(self, f"_{name}")(values)}
        if "RunResumeStatus" in query or "bucket(name:" in query:
            return {"model": {"id": "m", "name": values.get("project"), "entity": {"id": "e", "name": ENTITY},
                              "bucket": self._resumed(values["name"])}}  # fmt: skip
        if re.search(r"\bruns\s*\(", query):
            return {"project": self._listed(values)}
        if "artifact" in query and "project" in query:
            return {"project": {"artifact": None}}
        viewer = {"id": "1", "entity": ENTITY, "username": ENTITY, "email": "", "flags": "{}", "teams": {"edges": []}}
        return {"viewer": viewer}

    def _serverInfo(self, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"cliVersionInfo": {"max_cli_version": "99.0.0", "min_cli_version": "0.1.0"}, "features": []}

    def _upsertBucket(self, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        run = self.runs.setdefault(values["name"], Kept())
        if values.get("displayName"):
            run.opened += 1
            run.state = "running"
            if values.get("id") is None:  # opened without `resume`, which replaces what there is
                run.history, run.summary = [], {}
            run.group = values.get("groupName") or run.group
        if values.get("config"):
            given = json.loads(values["config"])
            run.config |= {name: value["value"] for name, value in given.items() if not name.startswith("_")}
        return {"bucket": self._bucket(values["name"]), "inserted": run.opened == 1}

    def _bucket(self, name: str) -> dict[str, Any]:
        run = self.runs[name]
        return {
            "id": f"id-{name}", "name": name, "displayName": name, "description": None, "sweepName": None,
            "config": json.dumps({key: {"value": value} for key, value in run.config.items()}),
            "historyLineCount": len(run.history),
            "project": {"id": "p", "name": "p", "entity": {"id": "e", "name": ENTITY}},
        }  # fmt: skip

    def _resumed(self, name: str) -> dict[str, Any] | None:
        if name not in self.runs:
            return None
        run = self.runs[name]
        tail = [json.dumps(run.history[-1])] if run.history else []
        return self._bucket(name) | {
            "summaryMetrics": json.dumps(run.summary), "logLineCount": 0, "eventsLineCount": 0, "eventsTail": "[]",
            "historyTail": json.dumps(tail), "tags": [], "wandbConfig": json.dumps({"t": 1}),
        }  # fmt: skip

    def _createRunFiles(self, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        files = [
            {"name": name, "uploadUrl": f"{self.url}/put/{values['run']}/{name}"} for name in values.get("files", ())
        ]
        return {"runID": f"id-{values['run']}", "uploadHeaders": [], "files": files}

    def _createArtifact(self, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        given = values.get("input", values)
        (name,) = given.get("artifactCollectionNames") or [given.get("artifactCollectionName") or "?"]
        identity = f"a{len(self._artifacts)}"
        self._artifacts[identity] = name
        return {
            "artifact": {"id": identity, "state": "PENDING", "artifactSequence": {"id": "s", "latestArtifact": None}}
        }

    def _createArtifactManifest(self, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return self._manifest("manifest")

    def _updateArtifactManifest(self, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return self._manifest("manifest")

    def _manifest(self, name: str) -> dict[str, Any]:
        file = {"id": "f", "name": name, "displayName": name, "uploadUrl": f"{self.url}/put/artifacts/{name}",
                "uploadHeaders": []}  # fmt: skip
        return {"artifactManifest": {"id": "am", "file": file}}

    def _createArtifactFiles(self, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        given = values.get("input", values)
        files = given.get("artifactFiles") or given.get("files") or []
        edges = [
            {"node": {"id": str(number), "name": each["name"], "displayName": each["name"],
                      "uploadUrl": f"{self.url}/put/artifacts/{number}", "uploadHeaders": [], "storagePath": "x",
                      "uploadMultipartUrls": None, "artifact": {"id": each["artifactID"]}}}
            for number, each in enumerate(files)
        ]  # fmt: skip
        return {"files": {"edges": edges}}

    def _commitArtifact(self, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        identity = values.get("artifactID") or values.get("input", {}).get("artifactID")
        self.artifacts.append(self._artifacts[identity])
        return {"artifact": {"id": identity, "digest": "x", "state": "COMMITTED"}}

    def _listed(self, values: dict[str, Any]) -> dict[str, Any]:
        filters = json.loads(values.get("filters") or "{}")
        wanted = json.dumps(filters)
        nodes = [
            {"node": self._bucket(name) | {"state": run.state, "summaryMetrics": json.dumps(run.summary)}, "cursor": ""}
            for name, run in self.runs.items()
            if not run.group or "group" not in wanted or run.group in wanted
        ]
        return {"runCount": len(nodes), "runs": {"edges": nodes, "pageInfo": {"endCursor": "", "hasNextPage": False}}}

    def stream(self, name: str, sent: dict[str, Any]) -> None:
        """Take a part of a run's stream: lines of its history from an offset on, its summary, its end."""
        run = self.runs[name]
        for file, chunk in (sent.get("files") or {}).items():
            lines = [json.loads(line) for line in chunk["content"] if line.strip()]
            if file == "wandb-history.jsonl":
                run.history[chunk["offset"] :] = lines
            elif file == "wandb-summary.json" and lines:
                run.summary = lines[-1]
        if sent.get("complete"):
            run.state = "failed" if sent.get("exitcode") else "finished"


@contextmanager
def serving() -> Iterator[WandbServer]:
    """Serve on a port of this machine."""
    kept = WandbServer()

    def answer(path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        content: dict[str, Any] = {}
        with kept._lock:
            kept.asked += 1
            if kept.fails_after is not None and kept.asked > kept.fails_after:
                kept.status = 507
            status = kept.status
            if status == 200 and path == "/graphql":
                asked = json.loads(body)
                content = {"data": kept.graphql(asked["query"], asked.get("variables") or {})}
            elif status == 200 and path.endswith("/file_stream"):
                kept.stream(path.split("/")[-2], json.loads(body))
            elif status == 200 and path.startswith("/put/"):
                _, _, run, name = path.split("/", 3)
                if run in kept.runs:
                    kept.runs[run].files[name] = body
        return status, content

    with answering(answer) as kept.url:
        yield kept
