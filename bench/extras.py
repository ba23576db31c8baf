"""The command that installs an extra of this project, for messages of what is missing."""

import json
from pathlib import Path

PROJECT = "audio-classification-bench"


def install(*extras: str) -> str:
    """Return a command that installs extras of this project from where it was installed itself, in any folder.

    Args:
        *extras: their names, such as "export".
    """
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    names = ",".join(extras)
    url, editable, system = _origin()
    if system:  # such as git
        return f'pip install "{PROJECT}[{names}] @ {system}+{url}"'
    if urlsplit(url).scheme == "file":
        folder = url2pathname(urlsplit(url).path)
        tried = Path(folder) / "constraints.txt"
        versions = f'-c "{tried}" ' if tried.is_file() else ""
        return f'pip install {versions}{"-e " if editable else ""}"{folder}[{names}]"'
    return f'pip install "{PROJECT}[{names}]"'


def _origin() -> tuple[str, bool, str]:
    """Return the address of what pip was given, whether it is editable, and its version control; empty if unknown."""
    from importlib import metadata

    try:
        content = json.loads(metadata.distribution(PROJECT).read_text("direct_url.json") or "{}")
        return (
            str(content.get("url", "")),
            bool(content.get("dir_info", {}).get("editable")),
            str(content.get("vcs_info", {}).get("vcs", "")),
        )
    except metadata.PackageNotFoundError:  # the clone is on the path, and not installed
        return Path(__file__).resolve().parent.parent.as_uri(), True, ""
