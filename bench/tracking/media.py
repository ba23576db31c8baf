"""Media and artifacts of a W&B run: its hardest test clips, its record and its checkpoint."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.records import Record
from bench.records.redaction import clean, redacted
from bench.records.store import OLD_WEIGHTS, WEIGHTS
from bench.tracking.limits import NAME, RESERVED, fitted

ONLINE_BYTES = 100 * 2**20
"""Largest checkpoint that is uploaded when a run ends; a larger checkpoint is not uploaded."""

_HEIGHT = 256


def hardest_clips(kept: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Return the clips that `bench.evaluation.mistakes` kept, to be logged: a table, spectrograms and sounds.

    Args:
        kept: the arrays of `worst.npz` by name.
    """
    import wandb

    table = wandb.Table(columns=["clip", "truth", "predicted", "loss"])
    pictures, sounds = [], []
    for i, levels in enumerate(kept["spectrograms"]):
        clip, truth, predicted = (redacted(str(kept[name][i])) for name in ("ids", "truth", "predicted"))
        loss = round(float(kept["loss"][i]), 4)
        table.add_data(clip, truth, predicted, loss)  # no media here, because W&B would store them three times
        caption = f"{truth}, taken for {predicted} (loss {loss:.2f}): {clip}"
        pictures.append(wandb.Image(coloured(levels), caption=caption, file_type="png"))
        if kept["audio"].shape[1]:
            sounds.append(wandb.Audio(kept["audio"][i], sample_rate=int(kept["sample_rate"]), caption=caption))
    logged: dict[str, Any] = {"worst/clips": table, "worst/spectrograms": pictures}
    return logged | ({"worst/audio": sounds} if sounds else {})


def coloured(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return `(F, T)` levels as an image `(H, T, 3)`; the lowest band is at the bottom, high levels are yellow."""
    from matplotlib import colormaps

    tall = levels[::-1].repeat(max(1, _HEIGHT // len(levels)), axis=0)
    return np.asarray(255 * colormaps["magma"](tall)[..., :3]).round().astype(np.uint8)


def link(run: Any, record: Record, folder: Path | None, mode: str) -> None:
    """Link the artifacts to a W&B run: the record, and the checkpoint if there is one.

    The checkpoint is not copied: offline, `wandb sync` reads the original file.
    """
    import wandb

    text = record.to_json()
    content = wandb.Artifact(fitted(f"record-{record.key}", NAME, RESERVED), "record", metadata=clean(_about(record)))
    if redacted(text) == text:  # a redacted text is no longer a valid record
        with content.new_file(f"{record.key}.json", mode="w", encoding="utf-8") as file:
            file.write(text)
        run.log_artifact(content)
    else:
        run.summary["left out"] = "the record: something in it looks like a secret"
    files = (folder / name for name in (WEIGHTS, OLD_WEIGHTS)) if folder else ()
    checkpoint = next((path for path in files if path.exists()), None)
    if checkpoint is None:
        return
    size = checkpoint.stat().st_size
    if mode == "online" and size > ONLINE_BYTES:
        run.summary["left out"] = f"the checkpoint: {size / 2**20:.0f} MiB"
        return
    weights = wandb.Artifact(fitted(f"model-{record.key}", NAME, RESERVED), "model", metadata=clean(_about(record)))
    weights.add_file(str(checkpoint), checkpoint.name, policy="immutable", skip_cache=True)
    run.log_artifact(weights)


def _about(record: Record) -> dict[str, Any]:
    run = record.run
    about = {"model": run.model, "frontend": run.frontend, "dataset": run.dataset, "fold": run.fold, "seed": run.seed}
    return about | {name: value for name, value in record.scores.items() if value is not None}
