"""The mode of W&B: online, offline or disabled."""

import json
import socket
from pathlib import Path

import pytest
from fakes.answering import answering
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


def test_key_from_netrc(nobody: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = nobody / ".netrc"
    netrc.write_text("machine api.wandb.ai login user password secret\n")
    netrc.chmod(0o600)
    with answering(lambda path, body: (200, {})) as url:
        monkeypatch.setenv("WANDB_BASE_URL", url)
        assert choose_mode("online")[0] == "offline"  # the key of another server
        netrc.write_text("machine 127.0.0.1 login user password secret\n")
        assert choose_mode("online") == ("online", None)


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize(("status", "mode"), [(200, "online"), (404, "online"), (500, "offline"), (503, "offline")])
def test_answers_of_the_server(status: int, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    with answering(lambda path, body: (status, {})) as url:
        monkeypatch.setenv("WANDB_BASE_URL", url)
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
