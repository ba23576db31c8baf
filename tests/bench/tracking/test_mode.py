"""The mode of W&B: online, offline or disabled."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from fakes.mirrored import CANARIES

from bench.tracking import choose_mode
from bench.tracking.mirror import _child_variables


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without any W&B settings; returns the home folder."""
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL", "NETRC", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def answering() -> Iterator[Callable[[int], str]]:
    """Start a server that answers everything with one status."""
    servers: list[HTTPServer] = []

    def start(status: int) -> str:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Answer)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.usefixtures("nobody")
def test_offline_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_mode(None) == ("offline", None)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert choose_mode(None) == ("disabled", None)
    assert choose_mode("offline") == ("offline", None)
    monkeypatch.setenv("WANDB_MODE", "dryrun")
    assert choose_mode(None) == ("offline", None)
    monkeypatch.setenv("WANDB_MODE", "onlien")
    mode, warning = choose_mode(None)
    assert mode == "offline"
    assert "onlien" in (warning or "")


@pytest.mark.usefixtures("nobody")
def test_online_without_a_key_is_offline() -> None:
    mode, warning = choose_mode("online")
    assert mode == "offline"
    assert "no key for api.wandb.ai" in (warning or "")


def test_key_from_netrc(nobody: Path, answering: Callable[[int], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", answering(200))
    netrc = nobody / ".netrc"
    netrc.write_text("machine api.wandb.ai login user password secret\n")
    netrc.chmod(0o600)
    assert choose_mode("online")[0] == "offline"  # the key of another server
    netrc.write_text("machine 127.0.0.1 login user password secret\n")
    assert choose_mode("online") == ("online", None)


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize(("status", "mode"), [(200, "online"), (404, "online"), (500, "offline"), (503, "offline")])
def test_answers_of_the_server(
    status: int, mode: str, answering: Callable[[int], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", answering(status))
    found, warning = choose_mode("online")
    assert found == mode
    assert (warning is None) == (mode == "online")


@pytest.mark.slow
@pytest.mark.usefixtures("nobody")
def test_refused_and_silent_servers_mean_offline(black_hole: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    for url in (f"http://user:canary-url@127.0.0.1:{port}", black_hole):
        monkeypatch.setenv("WANDB_BASE_URL", url)
        mode, warning = choose_mode("online")  # does not wait for the second one, which never answers
        assert mode == "offline"
        assert warning is not None
        assert "127.0.0.1" in warning
        assert "\n" not in warning
        assert "canary" not in warning


def test_child_environment_is_an_allow_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    assert "canary" not in json.dumps(_child_variables("offline", tmp_path))
    online = _child_variables("online", tmp_path)
    assert online["WANDB_API_KEY"] == CANARIES["WANDB_API_KEY"]
    assert "MY_SECRET_TOKEN" not in online
