"""A small VGGSound in the real layout: the lists as the authors give them, audio as its users have it."""

from pathlib import Path

from fakes.shards import pack, sound

CLASSES = {"ambulance siren": "vehicle", "pigeon, dove cooing": "animals", "playing sitar": "music"}


def video(number: int, letter: str = "v") -> str:
    """An id of eleven characters, such as begin with a dash and hold an underscore."""
    return f"-{letter}_{number:08d}"


def write(root: Path, *, shards: int = 0, train: int = 60, test: int = 12, suffix: str = "wav") -> Path:
    """Two clips of each video; every class in every part; the last clip of each part is listed and not there."""
    rows, files = [], {}
    labels = list(CLASSES)
    for part, letter, clips in (("train", "v", train), ("test", "w", test)):
        for i in range(clips):
            name, start = video(i // 2, letter), 30 + 40 * (i % 2)
            label = labels[i // 2 % 3]
            rows.append((name, start, label, part))
            if i < clips - 1:
                files[f"{name}_{start:06d}.{suffix}"] = sound(1000 * (part == "test") + i, suffix=suffix)
    (root / "data").mkdir(parents=True)

    def quoted(label: str) -> str:
        return f'"{label}"' if "," in label else label

    (root / "vggsound.csv").write_text("".join(f"{v},{s},{quoted(label)},{p}\n" for v, s, label, p in rows))
    (root / "data" / "test.csv").write_bytes(
        "".join(f"{v}_{s:06d}.mp4,{quoted(label)}\r\n" for v, s, label, p in rows if p == "test").encode()
    )
    lines = [f"{quoted(label)},{sum(row[2] == label for row in rows)},{kind}" for label, kind in CLASSES.items()]
    (root / "data" / "stat.csv").write_text("\n".join(lines))
    if shards:
        pack(root / "shards", files, shards)
    else:
        (root / "audio").mkdir()
        for name, content in files.items():
            (root / "audio" / name).write_bytes(content)
    return root
