"""A small AudioSet in the real layout: Google's tables with their comments and quotes, audio under PANNs' names."""

from collections.abc import Sequence
from pathlib import Path

from fakes.shards import pack, sound

LABELS = {"/m/09x0r": "Speech", "/m/05zppz": "Male speech, man speaking", "/m/04rlf": "Music", "/t/dd00088": "Gush"}
PARTS = {"balanced_train": "b", "eval": "e", "unbalanced_train": "u"}


def video(number: int, letter: str) -> str:
    return f"-{letter}{number:08d}_"


def labels(number: int) -> Sequence[str]:
    """One or two labels."""
    mids = list(LABELS)
    return (mids[number % 4],) if number % 3 else (mids[number % 4], mids[(number + 1) % 4])


def write(root: Path, *, shards: int = 0, clips: int = 40, eval_clips: int = 12, unbalanced: int = 0) -> Path:
    """`clips` balanced, `eval_clips` evaluation and `unbalanced` further segments; the last of each is not there."""
    root.mkdir(parents=True)
    rows = ["index,mid,display_name", *(f'{i},{mid},"{name}"' for i, (mid, name) in enumerate(LABELS.items()))]
    (root / "class_labels_indices.csv").write_text("\n".join(rows) + "\n")
    for part, count in zip(PARTS, (clips, eval_clips, unbalanced), strict=True):
        letter, files = PARTS[part], {}
        lines = [
            "# Segments csv created Sun Mar  5 10:54:31 2017",
            f"# num_ytids={count}, num_segs={count}, num_unique_labels=4, num_positive_labels=9",
            "# YTID, start_seconds, end_seconds, positive_labels",
        ]
        for i in range(count):
            lines.append(f'{video(i, letter)}, {10 * (i % 5)}.000, {10 * (i % 5) + 10}.000, "{",".join(labels(i))}"')
            if i < count - 1:
                files[f"Y{video(i, letter)}.flac"] = sound(10_000 * list(PARTS).index(part) + i)
        if count:
            (root / f"{part}_segments.csv").write_text("\n".join(lines) + "\n")
        if shards:
            pack(root / "shards" / part, files, shards)
        else:
            folder = root / "audio" / f"{part}_segments"
            folder.mkdir(parents=True)
            for name, content in files.items():
                (folder / name).write_bytes(content)
    return root
