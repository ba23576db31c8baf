"""Commands of README and `docs/` are run, or parsed if they take hours; files and links exist."""

import importlib
import importlib.util
import os
import re
import runpy
import shlex
import shutil
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import typer.main
from fakes import esc50, folder, forkservers
from fakes.markdown import FILE, LANGUAGES, NOT_RUN, PAGES, Block, anchors, blocks, links, read
from fakes.paths import PROJECT

from bench import catalog, lookup, suites
from bench.runner.tuning import space
from models.frontends.logmel import LogMel

PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())
ENTRY_POINT = PYPROJECT["project"]["scripts"]["bench"]
PREDECESSORS = {"results.md": "your-sounds.md", "using-a-model.md": "your-sounds.md"}
"""Pages whose commands start where another page's end."""
RUN_BRIEFLY = ["--executor", "serial", "--wandb", "disabled"]


def by_name(path: Path) -> str:
    return str(path.relative_to(PROJECT))


every_page = pytest.mark.parametrize("page", PAGES, ids=by_name)
pages_with_commands = pytest.mark.parametrize(
    "page", [page for page in PAGES if any(block.language == "sh" for block in read(page))], ids=by_name
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a few very short clips of the datasets that the pages name."""
    root = tmp_path_factory.mktemp("data")
    esc50.write(root / "esc50")
    esc50.write(root / "esc10")
    audio = root / "birds" / "audio"
    audio.mkdir(parents=True)
    rng = np.random.default_rng(0)
    lines = ["file,bird,site,fold"]
    for i in range(16):
        soundfile.write(audio / f"{i}.wav", 0.1 * rng.standard_normal(1600), 8000)
        lines.append(f"{i}.wav,{('wren', 'robin')[i % 2]},site{i // 2},{i // 4 + 1}")
    (root / "birds" / "clips.csv").write_text("\n".join(lines) + "\n")
    return root


class Reader:
    """Follows pages as a reader does: writes their files and calls their commands, in the current folder."""

    def __init__(
        self, folder: Path, data: Path, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str] | None = None
    ) -> None:
        self.patch = patch
        self.capsys = capsys
        self.called: list[str] = []
        patch.chdir(folder)
        patch.setenv("BENCH_DATA", str(data))
        patch.setenv("XDG_DATA_HOME", str(folder / "home"))
        patch.setenv("COLUMNS", "200")

    def follow(self, page: Path) -> None:
        """Do what a page says."""
        for block in read(page):
            if block.file:
                self.write(block)
            elif block.runs:
                for line in block.commands:
                    self.call(line, block.where)

    def follow_files(self, page: Path) -> None:
        """Write the files that a page shows, and call nothing."""
        for block in read(page):
            if block.file:
                self.write(block)

    def write(self, block: Block) -> None:
        """Write a file of the page; a suite trains for one epoch on one fold."""
        path = Path(block.file)
        path.parent.mkdir(exist_ok=True)
        path.write_text(brief(block.text) if path.suffix == ".toml" else block.text)

    def call(self, line: str, where: str) -> None:
        """Run a command; it must end with exit code 0."""
        name, *arguments = shlex.split(line, comments=True)
        assert name == "bench", f"{where}: only `bench` is run here; mark the block with `<!-- {NOT_RUN}… -->`: {line}"
        if arguments[0] == "run" and "--dry-run" not in arguments:
            arguments += RUN_BRIEFLY
        self.patch.setattr(sys, "argv", ["bench", *arguments])
        code: object = 0
        try:
            catalog.load(ENTRY_POINT)()
        except SystemExit as end:
            code = end.code or 0
        said = "".join(self.capsys.readouterr()) if self.capsys else ""
        assert code == 0, f"{where}: `{line}` ended with {code}:\n{said}"
        self.called.append(line)
        if arguments[:2] == ["data", "init"]:
            written = Path(f"{arguments[2]}.toml")
            written.write_text(brief(written.read_text()))


def brief(text: str) -> str:
    """Return a suite that trains for one epoch on one fold, otherwise the same."""
    text = re.sub(r"^(folds\s*= )\S+", r"\1[0]", text, flags=re.MULTILINE)
    if not re.search(r"^\[recipe\]", text, flags=re.MULTILINE):
        return text + "\n[recipe]\nepochs = 1\n"
    assert re.search(r"^epochs ", text, flags=re.MULTILINE)
    return re.sub(r"^(epochs\s*= ).*$", r"\g<1>1", text, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory, data: Path) -> dict[str, Path]:
    """Folders as they are after the pages that others start from have been followed."""
    found = {}
    for name in set(PREDECESSORS.values()):
        place = tmp_path_factory.mktemp("after")
        folder.write(place / "my_sounds")
        with pytest.MonkeyPatch.context() as patch:
            Reader(place, data, patch).follow(PROJECT / "docs" / name)
        found[name] = place
    return found


@pages_with_commands
@pytest.mark.process
def test_commands_run(
    page: Path,
    tmp_path: Path,
    data: Path,
    after: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if page.name in after:
        assert (after[page.name] / "runs" / "records").is_dir()  # the fixture followed this page
        return
    place = tmp_path / "place"
    if page.name in PREDECESSORS:
        shutil.copytree(after[PREDECESSORS[page.name]], place)
    else:
        folder.write(place / "my_sounds")
    reader = Reader(place, data, monkeypatch, capsys)
    reader.follow(page)
    assert len(reader.called) == sum(len(block.commands) for block in read(page) if block.runs)


@pytest.mark.slow
@pytest.mark.process
def test_the_programs_that_use_a_model_run(
    tmp_path: Path,
    data: Path,
    after: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("onnxruntime", reason="the extra export is not installed")
    page = PROJECT / "docs" / "using-a-model.md"
    place = tmp_path / "place"
    shutil.copytree(after["your-sounds.md"], place)
    reader = Reader(place, data, monkeypatch, capsys)
    reader.follow_files(page)
    (not_run,) = [block for block in read(page) if "--out cnn.onnx" in block.text]
    (torchs,) = [block for block in read(page) if "--out swishnet.pt2" in block.text]
    for line in (*torchs.commands, not_run.commands[0]):
        reader.call(line, str(page))
    programs = sorted(block.file for block in read(page) if block.file.endswith(".py"))
    assert programs == ["run_onnx.py", "run_pt2.py", "timeline.py", "use.py"]
    said = {}
    for name in programs:
        runpy.run_path(name)
        said[name] = capsys.readouterr().out
    assert said["run_onnx.py"].strip() in {path.name for path in Path("my_sounds").iterdir()}
    assert said["run_pt2.py"].startswith("softmax of the logits tensor(")
    assert "probability_cat" in said["use.py"]


@pytest.mark.slow
@pages_with_commands
def test_commands_that_are_not_run_can_be_parsed(page: Path) -> None:
    here = {block.file for each in PAGES for block in read(each)}
    here |= {"my_sounds.toml"}  # `bench data init my_sounds` writes it
    for block in read(page):
        if block.language in ("sh", "bash"):
            for line in block.commands:
                parse(line, block.where, here)


def parse(line: str, where: str, files: set[str]) -> None:
    """Check a command's name, options and files without running it."""
    name, *arguments = shlex.split(line, comments=True)
    name = name.removeprefix(".venv/bin/")
    said = f"{where}: `{line}`"
    if ">" in arguments:  # the shell writes a file
        files.add(arguments[arguments.index(">") + 1])
        arguments = arguments[: arguments.index(">")]
    if name == "bench":
        parse_bench(arguments, said, files)
    elif name == "make":
        targets = re.findall(r"^([\w-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE)
        assert {each for each in arguments if "=" not in each} <= set(targets), said  # others are variables
    elif name in ("python", "python3") and arguments[0] == "-m":
        assert importlib.util.find_spec(arguments[1]), said
    elif name == "python":
        assert (PROJECT / arguments[0]).is_file(), said
        source = (PROJECT / arguments[0]).read_text()
        for option in arguments[1:]:
            assert not option.startswith("--") or f'"{option}"' in source, said
    elif name == "bash":
        assert arguments[0] in files, said
    elif name == "git":
        assert arguments[0] in ("switch", "add", "commit"), said
    elif name == "pip":
        assert arguments[:2] == ["install", "-c"], said
        assert (PROJECT / arguments[2]).is_file(), said
        assert arguments[3] == "-e", said
        extras = re.fullmatch(r"\.(?:\[([\w,]+)\])?", arguments[4])
        assert extras, said
        assert {extra for extra in (extras[1] or "").split(",") if extra} <= set(
            PYPROJECT["project"]["optional-dependencies"]
        ), said
    else:
        assert name == "pytest", f"{said} is no command that this test can check"


def parse_bench(arguments: list[str], said: str, files: set[str]) -> None:
    """Let the command line parse arguments, and find the suite and the record that they name."""
    command = typer.main.get_command(importlib.import_module("bench.cli").app)
    rest = list(arguments)
    while hasattr(command, "commands"):
        assert rest, f"{said}: a command is missing"
        assert rest[0] in command.commands, f"{said}: no such command"
        command = command.commands[rest.pop(0)]
    try:
        command.make_context(command.name, rest)
    except Exception as error:  # of click, or of the copy of click that some versions of typer bring
        pytest.fail(f"{said}: {error!r}")
    for option, value in pairwise(arguments):
        if option == "--suite":
            assert Path(value).name in files or value in suites.suites(), said


def test_parse_finds_what_is_wrong() -> None:
    for line in (
        "bench run --suite esc10 --no-such-option",
        "bench",
        "bench no-such-command",
        "bench run",
        "bench run --suite missing.toml",
        "bench run --suite esc10 --workers many",
        "python benchmarks/ltc.py --no-such-option",
        "make no-such-target",
        'pip install -c constraints.txt -e ".[no-such-extra]"',
        "rm file",
    ):
        with pytest.raises((AssertionError, pytest.fail.Exception), match="here"):
            parse(line, "here", set())


@every_page
def test_blocks_are_of_a_known_kind(page: Path) -> None:
    for block in read(page):
        assert block.language in LANGUAGES, f"{block.where}: no language that this test knows"
        if block.directive:
            assert block.directive.startswith((FILE, NOT_RUN)), block.where
        if block.language == "toml":
            assert block.file, f"{block.where}: name the file, so that the test reads it"


@every_page
def test_suites_can_be_read(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Reader(tmp_path, tmp_path, monkeypatch).follow_files(page)
    for block in read(page):
        if block.language == "toml":
            Path(block.file).write_text(block.text)
            if "[space]" in block.text:  # of `bench tune`
                assert space.read(Path(block.file)).values, block.where
            else:
                assert suites.read(block.file).runs(), block.where


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page.read_text(encoding="utf-8")):
        if link.startswith(("https://", "http://")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{by_name(page)}: {link}"
        assert target.is_relative_to(PROJECT), f"{by_name(page)}: {link}"
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{by_name(page)}: {link}"


@every_page
def test_paths_and_keys_in_the_text_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for key in re.findall(r"[\w.-]+-f\d+-s\d+-[0-9a-f]{8}\b", text):
        assert (PROJECT / "leaderboards" / "records" / f"{key}.json").exists(), key
    if page.name == "CHANGELOG.md":
        return  # older sections name files that have moved since
    own = {block.file for each in PAGES for block in read(each)}
    for path in re.findall(
        r"`((?:bench|models|datamodules|tests|benchmarks|docs|examples|leaderboards)/[\w./-]*)`", text
    ):
        assert (PROJECT / path).exists() or path in own, f"{by_name(page)}: {path}"


def test_every_page_is_reached_from_the_readme() -> None:
    reached = {(PROJECT / link.partition("#")[0]).resolve() for link in links((PROJECT / "README.md").read_text())}
    assert reached >= set(PAGES) - {PROJECT / "README.md"}


def test_the_readme_is_short() -> None:
    assert len((PROJECT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("Suites", suites.suites()),
        ("Models", {**catalog.MODELS, **catalog.FUSIONS}),
        ("Front-ends", catalog.FRONTENDS),
        ("Datasets", catalog.DATASETS),
    ],
)
def test_tables_name_what_the_catalogue_has(heading: str, names: dict[str, object]) -> None:
    text = (PROJECT / "docs" / "running.md").read_text()
    section = re.split(r"^## ", text.partition(f"\n## {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    cells = re.findall(r"^\| ([^|]*`[^|]*) \|", section, re.MULTILINE)
    named = {name for cell in cells for name in re.findall(r"`([^`{]+)`", cell)}
    assert named
    assert named <= set(names)


@pytest.mark.slow
def test_the_model_of_the_page_keeps_the_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Reader(tmp_path, tmp_path, monkeypatch).follow_files(PROJECT / "docs" / "your-model.md")
    lookup.permit({"mean_pool:MeanPool": tmp_path, "test_mean_pool:test_every_clip_gets_logits": tmp_path})
    monkeypatch.setattr(sys, "path", list(sys.path))
    catalog.load("test_mean_pool:test_every_clip_gets_logits")()
    torch.manual_seed(0)
    x = 0.1 * torch.randn(3, 8000)
    frontend = LogMel(8000)
    _, features, frames = frontend(x).shape
    model = catalog.load("mean_pool:MeanPool")(frontend, features, frames, classes=7, hidden=5)
    logits = model(x)
    assert logits.shape == (3, 7)
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    model.eval()
    torch.testing.assert_close(torch.cat([model(clip[None]) for clip in x]), model(x))


@pytest.mark.process
@pytest.mark.slow
def test_the_training_of_the_page_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Reader(tmp_path, tmp_path, monkeypatch).follow_files(PROJECT / "docs" / "your-model.md")
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    done = forkservers.run(["own_trainer.py"], tmp_path, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "16000 0.01" in done.stdout or "32000 0.01" in done.stdout
    table = next((tmp_path / "logs").rglob("metrics.csv")).read_text()
    page = (PROJECT / "docs" / "your-model.md").read_text()
    logged = set(table.splitlines()[0].split(",")) - {"epoch", "step"}
    section = page.partition("| name | when it is logged |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`(\w+)`", section)) - {"log_every_n_steps", "val_mAP"}
    assert named <= logged
    assert {name for name in logged if not name.startswith("test_")} <= named


def test_blocks_are_cut_out_of_a_page() -> None:
    text = "a\n<!-- file: b.toml -->\n```toml\nx = 1\n\n```\n\n```sh\nbench \\\n  list\n# only words\n```\n"
    first, second = blocks(text, "page")
    assert (first.where, first.language, first.file, first.text) == ("page:3", "toml", "b.toml", "x = 1\n\n")
    assert first.runs is False
    assert second.runs is True
    assert second.commands == ["bench    list"]
    with pytest.raises(ValueError, match="page:1: the fence is not closed"):
        blocks("```sh\nbench list\n", "page")


def test_anchors_are_those_of_a_forge() -> None:
    text = "# Use it on *your* sounds\n```sh\n# no heading\n```\n## What C++, `x` don't do\n"
    assert anchors(text) == {"use-it-on-your-sounds", "what-c-x-dont-do"}
    assert links('[a](b.md#c) `[no](link)` <img src="d.svg">') == ["b.md#c", "d.svg"]
