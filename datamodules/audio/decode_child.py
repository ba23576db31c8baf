"""A process that decodes whatever the guarded decoder takes: the other side of `datamodules.audio.in_child`.

It is started as a program. It opens no file: it asks the process that started it for bytes. libsndfile, the checks of
containers and the resampling run here; a sound track goes on to PyAV's own child. The kernel limits the memory of this
process and, for each file, its processor time.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from datamodules.audio.decoder import AudioError, decode_read
from datamodules.children.messages import Asked, limited, receive, refuse, send

MEMORY = 256 << 20  # bytes, in addition to what the process has when it has imported everything
AHEAD = 128 << 10  # bytes that are asked for at once, because libsndfile reads a few at a time


class Ahead:
    """Bytes around the last place that was read, so that small reads need no message each."""

    def __init__(self, file: Asked) -> None:
        self._file, self._start, self._bytes = file, 0, b""

    def __call__(self, place: int, length: int) -> bytes:
        """Return up to `length` bytes from a place."""
        if not self._start <= place <= place + length <= self._start + len(self._bytes):
            self._start, self._bytes = place, self._file.at(place, max(length, AHEAD))
        at = place - self._start
        return self._bytes[at : at + length]


def main() -> None:
    """Decode file after file until the other process is gone."""
    incoming, outgoing = sys.stdin.buffer, sys.stdout.buffer
    limit = limited(MEMORY)
    while True:
        request = json.loads(receive(incoming))
        limit(request["cpu_seconds"])
        size, name = request["size"], request["name"]
        read = Ahead(Asked(incoming, outgoing, size))

        def stated(seconds: float) -> None:
            send(outgoing, b"H", json.dumps(seconds).encode())

        try:
            for block in decode_read(read, size, name, request["sample_rate"], request["max_seconds"], stated):
                send(outgoing, b"B", block.tobytes())
            send(outgoing, b"E", b"")
        except AudioError as error:
            refuse(outgoing, str(error))
        except MemoryError:
            refuse(outgoing, f"{name!r} is damaged (it needs more memory than any sound does): fetch it again")


if __name__ == "__main__":
    main()
