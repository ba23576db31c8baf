"""Event files for TensorBoard: one scalar per quantity, over the steps of the optimiser."""

from collections.abc import Mapping
from pathlib import Path

from bench.tracking.event_file import EventFile
from bench.tracking.file_log import FileLog


class TensorBoardLog(FileLog):
    """Writes `<folder>/<key>/events.out.tfevents.*`; `tensorboard --logdir <folder>` shows all runs.

    Args:
        folder: folder of the logs.
    """

    name = "tensorboard"
    files = "events.out.tfevents.*"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._events: dict[str, EventFile] = {}

    def write(self, key: str, values: Mapping[str, float]) -> None:
        """Append the quantities of a point; their step is the optimiser's, or else the epoch."""
        if key not in self._events:
            self._events[key] = EventFile(self.folder / key)
        step = int(values.get("step", values["epoch"]))
        self._events[key].scalars({name: value for name, value in values.items() if name != "step"}, step)

    def end(self, key: str) -> None:
        """Forget the file of a run, which is complete."""
        self._events.pop(key, None)
