"""Reads the project's Markdown pages: code blocks with the comment above them, links and headings."""

import re
from dataclasses import dataclass
from pathlib import Path

from fakes.paths import PROJECT

PAGES = (
    *(PROJECT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((PROJECT / "docs").glob("*.md")),
    *(PROJECT / "examples" / name for name in ("README.md", "my_package/README.md")),
)
LANGUAGES = {"sh", "bash", "toml", "python", "text"}
FILE, NOT_RUN = "file: ", "not run: "


@dataclass(frozen=True)
class Block:
    """A fenced code block.

    Attributes:
        where: page and line of the opening fence.
        language: the word after the opening fence.
        directive: text of the HTML comment in the line above the fence; empty without one.
        text: its lines.
    """

    where: str
    language: str
    directive: str
    text: str

    @property
    def file(self) -> str:
        """Name of the file that the block holds; empty if it holds none."""
        return self.directive.removeprefix(FILE) if self.directive.startswith(FILE) else ""

    @property
    def runs(self) -> bool:
        """Whether the block's commands are run by the test."""
        return self.language in ("sh", "bash") and not self.directive.startswith(NOT_RUN)

    @property
    def commands(self) -> list[str]:
        """The commands of a block for a shell, one each; blank lines and comments are none."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [line for line in lines if line.strip() and not line.startswith("#")]


def blocks(text: str, page: str) -> list[Block]:
    """Return the fenced blocks of a page.

    Raises:
        ValueError: a fence is not closed.
    """
    found: list[Block] = []
    lines = text.splitlines()
    i = 0
    while i < len(lines):
        opened = re.fullmatch(r"(```+)(.*)", lines[i])
        if opened:
            end = next((j for j in range(i + 1, len(lines)) if lines[j] == opened[1]), None)
            if end is None:
                raise ValueError(f"{page}:{i + 1}: the fence is not closed")
            above = re.fullmatch(r"<!-- (.*) -->", lines[i - 1]) if i else None
            content = "\n".join(lines[i + 1 : end]) + "\n"
            found.append(Block(f"{page}:{i + 1}", opened[2].strip(), above[1] if above else "", content))
            i = end
        i += 1
    return found


def read(path: Path) -> list[Block]:
    """Return the blocks of a page of the project."""
    return blocks(path.read_text(encoding="utf-8"), str(path.relative_to(PROJECT)))


def prose(text: str) -> str:
    """Return a page without its code blocks and code spans."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE))


def links(text: str) -> list[str]:
    """Return the targets of a page's links and pictures."""
    plain = prose(text)
    return re.findall(r"\]\(([^)\s]+)\)", plain) + re.findall(r'(?:src|srcset|href)="([^"]+)"', plain)


def anchors(text: str) -> set[str]:
    """Return the anchors that a forge gives to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}
