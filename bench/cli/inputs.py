"""Sounds that commands name: files, folders, and `-` for an audio file on standard input."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.options import STDOUT
from bench.errors import SuiteError

if TYPE_CHECKING:
    from bench.inference.classifier import Classifier
    from bench.inference.predict import Source


def refuse_replacing(
    outputs: Iterable[tuple[str, Path | None]],
    sounds: Iterable[Path],
    run: str,
    model: "Classifier | None" = None,
) -> None:
    """Raise a SuiteError where an output is a file that the command reads, by whatever name: a link is the same file.

    Args:
        outputs: option and file of each; None and standard output are none.
        sounds: files that are read.
        run: reference of the model, which may be a file, a folder, or of a suite's file.
        model: what it leads to; its artifacts and records are read, too. None where it is not loaded yet.
    """
    read = {_identity(sound) for sound in sounds}
    for place in {Path(name).expanduser() for name in (run, run.partition(":")[0]) if name}:
        read |= {_identity(each) for each in (place, *(place.iterdir() if place.is_dir() else ()))}
    for part in model.parts.values() if model is not None else ():
        record = part.folder.parent.parent / "records" / f"{part.key}.json"
        read |= {_identity(each) for each in (record, *part.folder.glob("*"))}
    for option, output in outputs:
        if output is not None and output != STDOUT and _identity(output) in read:
            raise SuiteError(
                f"{option} would take the place of {str(output)!r}, which this call reads: name another file"
            )


def _identity(path: Path) -> object:
    """Return what two names of one file have in common."""
    try:
        about = path.stat()
    except OSError:  # it is not there
        return path.resolve()
    return about.st_dev, about.st_ino


@contextmanager
def sources(places: Sequence[str], model: "Classifier") -> Iterator[list["Source"]]:
    """Yield the files that a command's arguments lead to; standard input is a file while this is open.

    Raises:
        SuiteError: standard input is named twice.
        RunError: standard input is named, and the model takes no sound.
    """
    from bench.inference import predict
    from bench.records import scratch

    if places.count("-") > 1:
        raise SuiteError("- stands for standard input, which can be read once")
    found: list[Source] = []
    with ExitStack() as stack:
        for place in places:
            if place == "-":
                model.rate()  # standard input has sound
                folder = stack.enter_context(scratch.folder("stdin"))
                found.append(predict.from_stream(sys.stdin.buffer, folder))
            else:
                found += predict.find([place], model.takes_sound)
        yield found
