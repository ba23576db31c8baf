"""Sounds that commands name: files, folders, and `-` for an audio file on standard input."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from bench.errors import SuiteError

if TYPE_CHECKING:
    from bench.inference.classifier import Classifier
    from bench.inference.predict import Source


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
