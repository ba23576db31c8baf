"""F22: requests to the web page that it must refuse."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from unittest import mock

from faults import runs, trained
from faults.tally import Fault, Tally

MEMORY = 50e6
"""Most bytes that the requests may add to the server and its children."""

START = ("-m", "bench")
"""How Python starts the command; replaced in a proof."""


def ask(count: int, folder: Path) -> Tally:
    """Send a server of its own the requests of `benchmarks/serve.py`; it answers them and goes on."""
    tally, asked = Tally(), _requests()
    folder.mkdir(parents=True)
    with mock.patch.dict("os.environ", runs.environment()), mock.patch.object(asked, "START", START):
        store = trained.store()
        server = asked.Server(trained.one(store, "cnn").key, store.root, folder)
        try:
            asked.clients(server)
            before = server.memory()
            found, _ = asked.hostile(server, count)
            asked.settled(lambda: server.files() == 0)
            tally.injected = found.total()
            wrong = {code: times for code, times in found.items() if code >= 500 and code != 503}
            tally.note("crashed", f"answers {wrong}", count=sum(wrong.values()))
            tally.note("wrong", "files are left", count=server.files())
            try:
                asked.clients(server)
            except Exception as error:
                tally.note("hung", f"the server is of no use afterwards: {error!r}")
            grown = server.memory() - before  # with as many decoders as before
            tally.note("wrong", f"{grown:.0f} MB of memory", count=grown * asked.MB > MEMORY)
        finally:
            server.end()
    return tally


def _requests() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "serve.py"
    about = importlib.util.spec_from_file_location("hostile_requests", path)
    assert about is not None
    assert about.loader is not None
    module = importlib.util.module_from_spec(about)
    about.loader.exec_module(module)
    return module


@contextmanager
def unanswered() -> Iterator[None]:
    """Let the errors of a file that is no sound be those of the server."""
    code = (
        "from bench.inference.web import jobs; jobs.AudioError = ZeroDivisionError; from bench.cli import main; main()"
    )
    with mock.patch(f"{__name__}.START", ("-c", code)):
        yield


FAULTS = (
    Fault("F22", "requests to `bench serve`: bad files and forms, false names, 100 at once, slow, too long, left", 0,
          310, ask, "errors of a file are answers", unanswered, 20),
)  # fmt: skip
