"""Who may ask: requests that name this server, from its own page, with the token where there is one."""

import pytest

from bench.errors import RunError
from bench.inference.web import problems
from bench.inference.web.guard import Guard
from bench.inference.web.server import listen

from .conftest import sound

pytestmark = pytest.mark.process
TOKEN = "0123456789abcdef"


@pytest.mark.parametrize("host", ["localhost", "localhost:9000", "127.0.0.1", "127.0.0.1:1", "[::1]:80", "127.0.0.2"])
def test_names_of_this_machine_are_answered(server, host):
    assert server.client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["example.org", "127.0.0.1.example.org", "10.0.0.1", "localhost.example.org:80", "", "[::", "::1:x", "0x7f.1"],
)
def test_other_names_are_not(server, host):
    reply = server.client.get("/", headers={"Host": host})
    assert reply.status_code == 421
    assert reply.json()["error"]["code"] == "host"


def test_pages_of_other_sites_are_not(server):
    for headers in ({"Origin": "http://example.org"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        reply = server.client.post("/predict", files={"file": ("a.wav", sound())}, headers=headers)
        assert reply.status_code == 403, headers
    own = {"Origin": f"http://127.0.0.1:{server.port}", "Sec-Fetch-Site": "same-origin"}
    assert server.client.post("/predict", files={"file": ("a.wav", sound())}, headers=own).status_code == 200
    preflight = server.client.options(
        "/predict", headers={"Origin": "http://example.org", "Access-Control-Request-Method": "POST"}
    )
    assert preflight.status_code == 403


def test_every_answer_has_the_headers(server):
    for reply in (
        server.client.get("/"), server.client.get("/page.js"), server.client.get("/nothing"), server.predict(b""),
        server.client.get("/", headers={"Host": "example.org"}),
    ):  # fmt: skip
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["cache-control"] == "no-store"
        assert not [name for name in reply.headers if name.startswith("access-control")]
        assert "server" not in reply.headers


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_have_no_script_or_style_of_their_own_and_load_nothing_from_elsewhere(server, path):
    page = server.client.get(path).text
    assert "<style" not in page
    assert " style=" not in page
    assert " on" not in page.replace(" on ", "").replace(" one", "")
    assert page.count("<script") == 1
    assert "://" not in page
    for asset in ("/page.js", "/docs.js"):
        script = server.client.get(asset).text
        assert not [
            word for word in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(") if word in script
        ]


def test_a_token_is_needed_for_everything_but_the_page(serve):
    own = serve(token=TOKEN)
    for path in ("/", "/page.js", "/docs", "/openapi.json"):
        assert own.client.get(path).status_code == 200
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
    ):
        for reply in (
            own.client.get("/runs", headers=headers),
            own.client.post("/predict", files={"file": ("a.wav", sound())}, headers=headers),
        ):
            assert reply.status_code == 401
            assert reply.headers["www-authenticate"] == "Bearer"
    good = {"Authorization": f"Bearer {TOKEN}"}
    assert own.client.get("/runs", headers=good).status_code == 200
    assert own.client.post("/predict", files={"file": ("a.wav", sound())}, headers=good).status_code == 200


def test_other_addresses_need_a_token():
    assert not list(problems("127.0.0.1", None))
    assert not list(problems("::1", None))
    assert not list(problems("0.0.0.0", TOKEN))
    for host in ("0.0.0.0", "192.168.1.2", "::", "somewhere"):
        (problem,) = problems(host, None)
        assert "--token" in problem
    (problem,) = problems("127.0.0.1", "short")
    assert "16" in problem
    assert list(problems("127.0.0.1", "sixteen letters and spaces"))


def test_with_another_address_any_of_this_machines_may_be_named():
    guard = Guard(lambda *_: None, "0.0.0.0", TOKEN, 2)
    assert guard._is_here("192.168.1.7:8000")
    assert not guard._is_here("example.org")


def test_a_port_that_is_taken_gets_words():
    with listen("127.0.0.1", 0) as taken, pytest.raises(RunError, match="another --port"):
        listen("127.0.0.1", taken.getsockname()[1])


def test_the_description_is_complete(server):
    described = server.client.get("/openapi.json").json()
    assert set(described["paths"]) == {"/runs", "/predict"}
    predict = described["paths"]["/predict"]["post"]
    assert predict["requestBody"]["content"]["multipart/form-data"]["schema"]["required"] == ["file"]
    stated = predict["responses"]["200"]["content"]["application/json"]["schema"]["properties"]
    assert set(server.predict(sound(2), pictures=True).json()) == set(stated)
    assert {"400", "413", "415", "422", "503"} <= set(predict["responses"])
