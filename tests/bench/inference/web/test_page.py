"""The page in a real Chromium: send, see, cancel, errors, keyboard, recording, narrow and wide, light and dark."""

import re
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.inference.web import Limits
from bench.inference.web.engine import Engine

from .conftest import sound

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip
TOKEN = "0123456789abcdef"


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium on the path to look at the page with: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as session:
        opened = session.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser) -> Iterator:
    """Open the page of a server; the browser must report no error and load nothing from elsewhere."""
    pages, errors = [], []

    def open_page(server, path="/", **options):
        page = browser.new_page(**options)
        pages.append(page)
        here = f"http://127.0.0.1:{server.port}/"

        def requested(request):
            if not request.url.startswith((here, f"blob:{here}", "data:,")):
                errors.append(request.url)

        page.on("request", requested)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: "status of" in line.text or errors.append(line.text))  # 4xx are no faults
        page.goto(here.rstrip("/") + path)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert not errors


@pytest.fixture
def held(monkeypatch):
    """Hold every batch until the first event is set; the second one is set when a batch was stopped."""
    release, stopped = threading.Event(), threading.Event()
    plain = Engine.probabilities

    def waiting(self, clips, stop=lambda: False):
        while not release.wait(0.005):
            if stop():
                stopped.set()
                break
        return plain(self, clips, stop)

    monkeypatch.setattr(Engine, "probabilities", waiting)
    yield release, stopped
    release.set()


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "low.wav"
    path.write_bytes(sound(6))
    return path


def until(page, condition: str, argument=None):
    """Wait until an expression, or a function of the argument, is true.

    `page.wait_for_function` evaluates text inside the page, which its policy forbids.
    """
    end = time.monotonic() + 30
    while not page.evaluate(condition, argument):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(20)


def ready(page):
    until(page, "document.getElementById('facts').textContent.includes('classes')")


def problem(page) -> str:
    until(page, "document.getElementById('problem').textContent")
    return page.text_content("#problem")


def colours(page, canvas: str) -> int:
    """Return the number of colours that a canvas shows."""
    return page.evaluate(
        """(id) => { const canvas = document.getElementById(id);
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return new Set(new Uint32Array(data.buffer)).size; }""",
        canvas,
    )


def violations(page) -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {node['html']}" for each in found for node in each["nodes"]]


def assert_nothing_is_cut(page):
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("width", [1300, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_sound_is_sent_and_seen(server, visit, file, width, scheme):
    page = visit(server, viewport={"width": width, "height": 900}, color_scheme=scheme)
    ready(page)
    assert violations(page) == []
    assert_nothing_is_cut(page)
    page.set_input_files("#file", file)
    page.wait_for_selector("#result:not([hidden])")
    assert page.text_content("#name") == "low.wav"
    wanted = server.predict(file.read_bytes()).json()
    assert page.locator("#top li > span:first-child").all_text_contents() == [each["class"] for each in wanted["top"]]
    shares = [100 * each["probability"] for each in wanted["top"]]
    shown = [float(text.removesuffix(" %")) for text in page.locator("#top .share").all_text_contents()]
    assert shown == pytest.approx(shares, abs=0.051)
    bars = page.evaluate("[...document.querySelectorAll('#top .bar span')].map((bar) => bar.style.width)")
    assert [float(bar.rstrip("%")) for bar in bars] == pytest.approx(shares, abs=1e-3)
    assert colours(page, "waveform") >= 2
    assert colours(page, "spectrogram") > 50
    assert colours(page, "windows") >= 3
    page.click("summary")
    assert page.locator("#cells tr").count() == 6
    assert "Done: " in page.text_content("#status")
    assert violations(page) == []
    assert_nothing_is_cut(page)


def test_a_short_sound_has_no_timeline(server, visit, tmp_path):
    path = tmp_path / "a.flac"
    path.write_bytes(sound(0.7, kind="FLAC"))
    page = visit(server)
    ready(page)
    page.set_input_files("#file", path)
    page.wait_for_selector("#result:not([hidden])")
    assert page.is_hidden("#timeline")
    assert "one window" in page.text_content("#length")


def test_a_sound_is_dropped(server, visit):
    page = visit(server)
    ready(page)
    page.evaluate(
        """(bytes) => { const held = new DataTransfer();
        held.items.add(new File([new Uint8Array(bytes)], "dropped.wav"));
        document.getElementById("drop").dispatchEvent(new DragEvent("drop", {dataTransfer: held, bubbles: true})); }""",
        list(sound(2)),
    )
    page.wait_for_selector("#result:not([hidden])")
    assert page.text_content("#name") == "dropped.wav"


def test_several_files_are_refused(server, visit):
    page = visit(server)
    ready(page)
    page.evaluate(
        """() => { const held = new DataTransfer();
        held.items.add(new File(["a"], "a.wav"));
        held.items.add(new File(["b"], "b.wav"));
        document.dispatchEvent(new DragEvent("drop", {dataTransfer: held})); }"""
    )
    assert "One file" in problem(page)


def test_the_cursor_moves_while_the_sound_plays_and_seeks(server, visit, file):
    page = visit(server)
    ready(page)
    page.set_input_files("#file", file)
    page.wait_for_selector("#result:not([hidden])")
    until(page, "document.getElementById('player').readyState >= 2")
    assert page.evaluate("document.getElementById('cursor').style.left") == "0%"
    page.evaluate("document.getElementById('player').play()")
    until(page, "parseFloat(document.getElementById('cursor').style.left) > 5")
    page.evaluate("document.getElementById('player').pause()")
    box = page.locator("#waveform").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 5)
    until(page, "Math.abs(document.getElementById('player').currentTime - 3) < 0.1")
    until(page, "Math.abs(parseFloat(document.getElementById('cursor').style.left) - 50) < 2")
    page.focus("#position")
    page.keyboard.press("End")
    until(page, "parseFloat(document.getElementById('cursor').style.left) > 99")


def test_another_run_and_other_windows_are_chosen(server, visit, file):
    page = visit(server)
    ready(page)
    page.set_input_files("#file", file)
    page.wait_for_selector("#result:not([hidden])")
    names = page.evaluate("[...document.getElementById('run').options].map((each) => each.value)")
    page.select_option("#run", names[1])
    until(page, "(name) => document.getElementById('length').textContent.endsWith(name)", names[1])
    assert names[1] in page.text_content("#facts")
    page.select_option("#hop", "0.5")
    until(page, "document.getElementById('length').textContent.includes('mean of 11 windows')")


@pytest.mark.parametrize("way", ["click", "key"])
def test_cancelling_stops_the_work(serve, held, visit, file, way):
    _, stopped = held
    page = visit(serve(limits=Limits(workers=1, waiting=0)))
    ready(page)
    page.set_input_files("#file", file)
    until(page, "document.getElementById('step').textContent === 'Classifying'")
    assert violations(page) == []
    if way == "click":
        page.click("#cancel")
    else:
        page.keyboard.press("Escape")
    assert page.is_hidden("#work")
    assert page.text_content("#status") == "Cancelled."
    assert stopped.wait(20)
    assert page.is_visible("#again")


def test_what_waits_says_so_and_a_full_server_too(serve, held, visit, file):
    release, _ = held
    server = serve(limits=Limits(workers=1, waiting=1))
    first, second, third = (visit(server) for _ in range(3))
    for page, words in ((first, "Classifying"), (second, "Waiting for other sounds")):
        ready(page)
        page.set_input_files("#file", file)
        until(page, "(words) => document.getElementById('step').textContent === words", words)
    ready(third)
    third.set_input_files("#file", file)
    assert "try again" in problem(third)
    release.set()
    second.wait_for_selector("#result:not([hidden])")
    third.click("#again")
    third.wait_for_selector("#result:not([hidden])")
    assert third.text_content("#problem") == ""


ERRORS = {
    "words.wav": (b"these are words " * 99, "cannot be decoded"),
    "empty.wav": (b"", "is empty"),
    "cut.wav": (sound(2)[:-9000], "is cut off"),
    "<img src=x onerror=alert(1)>.mp3": (b"x" * 999, "<img src=x onerror=alert(1)>.mp3"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_a_bad_file_gets_words(server, visit, tmp_path, name):
    content, words = ERRORS[name]
    page = visit(server)
    ready(page)
    page.set_input_files("#file", {"name": name, "mimeType": "audio/wav", "buffer": content})
    assert words in problem(page)
    assert page.is_hidden("#result")
    assert page.is_hidden("#work")
    assert page.locator("main img").count() == 0
    assert page.get_attribute("#problem", "role") == "alert"
    assert violations(page) == []


def test_a_file_that_is_too_large_is_not_sent(serve, visit, file):
    page = visit(serve(limits=Limits(max_bytes=1 << 10)))
    ready(page)
    page.set_input_files("#file", file)
    assert re.search("has .* MiB, and the server takes", problem(page))


def test_a_server_that_is_gone_gets_words(browser, kept):
    from .conftest import load_model, serving

    page = browser.new_page()
    with serving([load_model(kept.run("cnn").key, kept.store.root)]) as server:
        page.goto(f"http://127.0.0.1:{server.port}/")
        ready(page)
    page.set_input_files("#file", {"name": "a.wav", "mimeType": "audio/wav", "buffer": sound()})
    assert "Is it still running?" in problem(page)
    page.close()


def test_everything_is_reached_by_keyboard(server, visit, file):
    page = visit(server)
    chosen = []
    # Listen early: a chooser that opens before the browser was told to report it is lost.
    page.on("filechooser", lambda chooser: chosen.append(chooser))
    ready(page)
    reached = []
    for _ in range(4):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
    assert reached == ["run", "hop", "file", "record"]
    page.focus("#file")
    for _ in range(10):
        page.keyboard.press("Space")
        page.wait_for_timeout(1000)
        if chosen:
            break
    chosen[0].set_files(file)
    page.wait_for_selector("#result:not([hidden])")
    assert page.evaluate("document.activeElement.id") == "name"  # a screen reader goes on from there
    ids = set()
    for _ in range(16):
        page.keyboard.press("Tab")
        ids.add(page.evaluate("document.activeElement.id || document.activeElement.localName"))
    assert {"player", "position", "summary", "a"} <= ids


def test_the_microphone_records(server, visit):
    page = visit(server)
    ready(page)
    page.click("#record")
    until(page, "document.getElementById('microphone').textContent.startsWith('2 s')")
    assert page.get_attribute("#record", "aria-pressed") == "true"
    page.click("#record")
    page.wait_for_selector("#result:not([hidden])")
    assert page.text_content("#name") == "recording.wav"
    assert page.text_content("#record") == "Record"
    assert colours(page, "spectrogram") > 20


def test_the_page_asks_for_the_token(serve, visit, file):
    server = serve(token=TOKEN)
    page = visit(server)
    page.wait_for_selector("#entry:not([hidden])")
    assert violations(page) == []
    page.fill("#token", "a wrong one")
    page.keyboard.press("Enter")
    assert "token" in problem(page)
    page.fill("#token", TOKEN)
    page.keyboard.press("Enter")
    ready(page)
    page.set_input_files("#file", file)
    page.wait_for_selector("#result:not([hidden])")
    linked = visit(server, f"/#token={TOKEN}")
    ready(linked)
    assert TOKEN not in linked.url


@pytest.mark.parametrize("width", [1300, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_interface_is_described(server, visit, width, scheme):
    page = visit(server, "/docs", viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.wait_for_selector("table")
    text = page.text_content("main")
    assert "POST /predict" in text
    assert "windows.probabilities" in text
    assert f"127.0.0.1:{server.port}/predict" in text
    assert violations(page) == []
    assert_nothing_is_cut(page)
