"""Own features: folders and tables of arrays with own classes, through suites."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes.audioset_embeddings import field
from fakes.audioset_embeddings import record as framed
from fakes.calls import Call, records, run

SUITE = """models = {models}
datasets = ["embeddings"]
{top}
[recipe]
epochs = 2
[dataset.embeddings]
{lines}
"""


def go(folder: Path, lines: str, models: str = '["fc"]', top: str = "", *arguments: object) -> Call:
    return run(SUITE.format(models=models, lines=lines, top=top), folder, *arguments)


def clips(count: int, frames: int = 4, width: int = 24, seed: int = 0) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.random((frames, width), np.float32) for _ in range(count)]


def example(name: str, array: Any, shape: bool = True) -> bytes:
    """A tf.train.Example with one array."""
    floats = field(2, field(1, array.astype("<f4").tobytes()))
    entries = [(b"id", field(1, field(1, name.encode()))), (b"embedding", floats)]
    if shape:
        entries.append((b"shape", field(3, field(1, bytes(array.shape)))))
    return field(1, b"".join(field(1, field(1, key) + field(2, value)) for key, value in entries))


def sequence(name: str, array: Any) -> bytes:
    """A tf.train.SequenceExample with a frame each."""
    rows = b"".join(field(1, field(2, field(1, row.astype("<f4").tobytes()))) for row in array)
    context = field(1, field(1, b"video_id") + field(2, field(1, field(1, name.encode()))))
    return field(1, context) + field(2, field(1, field(1, b"embedding") + field(2, rows)))


def npy(folder: Path, seed: int) -> None:
    for i, clip in enumerate(clips(10, seed=seed)):
        np.save(folder / f"{folder.name}{i}.npy", clip)


def npz(folder: Path, seed: int) -> None:
    for i, clip in enumerate(clips(10, seed=seed)):
        np.savez(folder / f"{folder.name}{i}.npz", features=clip)


def batches(folder: Path, seed: int) -> None:
    for i in range(5):
        np.save(folder / f"{folder.name}{i}.npy", np.stack(clips(3, seed=10 * seed + i)))


def one_archive(folder: Path, seed: int) -> None:
    np.savez(folder / "all.npz", **{f"clip{i}": clip for i, clip in enumerate(clips(10, seed=seed))})


def tfrecord(folder: Path, seed: int) -> None:
    written = [example(f"{folder.name}{i}", clip) for i, clip in enumerate(clips(10, seed=seed))]
    (folder / "all.tfrecord").write_bytes(b"".join(map(framed, written)))


def sequences(folder: Path, seed: int) -> None:
    written = [sequence(f"{folder.name}{i}", clip) for i, clip in enumerate(clips(10, seed=seed))]
    (folder / "all.tfrecord").write_bytes(b"".join(map(framed, written)))


def tree(root: Path, write: Callable[[Path, int], None], classes: tuple[str, ...] = ("cat", "cow")) -> Path:
    for seed, label in enumerate(classes, start=1):
        (root / label).mkdir(parents=True)
        write(root / label, seed)
    return root


pytestmark = [pytest.mark.slow, pytest.mark.process]


@pytest.mark.parametrize("write", [npy, npz, batches, one_archive, tfrecord, sequences])
def test_every_form_of_files_is_trained_on(tmp_path: Path, write: Callable[[Path, int], None]) -> None:
    root = tree(tmp_path / "mine", write)
    call = go(tmp_path, f'root = "{root}"')
    assert call.code == 0, call.words
    (record,) = records(tmp_path)
    assert record.status == "ok"
    assert record.classes == ("cat", "cow")
    assert record.data is not None
    assert sum(record.data.clips.values()) == (30 if write is batches else 20)
    assert "4 frames of 24 values" in record.data.note
    alone = "each clip of a file counts as a source" in call.words
    assert alone == (write in (one_archive, tfrecord, sequences))


def test_every_model_on_embeddings_takes_own_ones_in_every_fold(tmp_path: Path) -> None:
    root = tree(tmp_path / "mine", npy, ("a", "b", "c"))
    models = '["fc", "lstm-skip", "ltc", "cfc", "fusion-average"]'
    call = go(tmp_path, f'root = "{root}"\nn_folds = 3', models, 'folds = "all"')
    assert call.code == 0, call.words
    assert len(records(tmp_path)) == 15


def test_a_table_gives_folds_groups_and_labels(tmp_path: Path) -> None:
    root = tmp_path / "mine"
    root.mkdir()
    rows = ["file,label,fold"]
    for i, clip in enumerate(clips(12)):
        np.save(root / f"{i}.npy", clip[0])  # one frame
        rows.append(f"{i}.npy,{'ab'[i % 2]};{'cd'[i // 2 % 2]},{1 + i % 3}")
    (root / "t.csv").write_text("\n".join(rows) + "\n")
    lines = f'csv = "{root / "t.csv"}"\ncolumns = {{path = "file"}}\nlabel_separator = ";"'
    call = go(tmp_path, lines, top="folds = [2]")
    assert call.code == 0, call.words
    (record,) = records(tmp_path)
    assert (record.classes, record.task, record.run.fold) == (("a", "b", "c", "d"), "multi", 2)
    assert record.data is not None
    assert "1 frames of 24 values" in record.data.note


def test_parts_are_folders_and_bytes_are_shares_of_255(tmp_path: Path) -> None:
    root = tmp_path / "mine"
    for part, count in (("train", 8), ("test", 4)):
        for label in ("cat", "horse"):
            (root / part / label).mkdir(parents=True)
            for i, clip in enumerate(clips(count, seed=count + len(label))):
                np.save(root / part / label / f"{part}{label}{i}.npy", (255 * clip * (i + 1) / 9).astype(np.uint8))
    call = go(tmp_path, f'root = "{root}"')
    assert call.code == 0, call.words


def test_lengths_differ_and_frames_crops_with_a_word(tmp_path: Path) -> None:
    root = tree(tmp_path / "mine", npy)
    np.save(root / "cat" / "long.npy", np.random.default_rng(5).random((9, 24)).astype(np.float32))
    call = go(tmp_path, f'root = "{root}"')
    assert call.code == 0, call.words
    (record,) = records(tmp_path)
    assert record.data is not None
    assert "9 frames of 24 values; 20 clips are padded with zeros" in record.data.note
    call = go(tmp_path, f'root = "{root}"\nframes = 4')
    assert call.code == 0
    assert "5 of 89 frames are not used, because clips are cropped to 4" in call.words


@pytest.mark.parametrize(
    ("name", "write", "words"),
    [
        ("a.npy", lambda path: np.save(path, np.zeros((4, 7), np.float32) + 1), "1 of 21 clips do not have 24 values"),
        ("b.npy", lambda path: np.save(path, np.full((4, 24), np.nan)), "not finite: compute its features again"),
        ("c.npy", lambda path: np.save(path, np.array([{}], object), allow_pickle=True), "holds Python objects"),
        ("d.npy", lambda path: path.write_bytes(b"\x93NUMPY\x01\x00"), "save it again"),
        ("e.npz", lambda path: path.write_bytes(b"no archive"), "save it again"),
        ("f.npy", lambda path: np.save(path, np.zeros((2, 2, 2, 2))), "a clip is frames times features (T, F)"),
        ("g.npy", lambda path: np.save(path, np.array(["a"])), "a clip is frames times features (T, F)"),
        ("h.tfrecord", lambda path: path.write_bytes(framed(b"\x08\x01")), "has no features"),
        ("i.tfrecord", lambda path: path.write_bytes(b"cut"), "is cut off or has a wrong length"),
    ],
)
def test_what_is_no_feature_is_named(tmp_path: Path, name: str, write: Callable[[Path], object], words: str) -> None:
    root = tree(tmp_path / "mine", npy)
    write(root / "cat" / name)
    call = go(tmp_path, f'root = "{root}"')
    assert call.code == 1
    assert words in call.words
    assert name in call.words
    assert "[dataset.folder]" not in call.words


def test_all_that_is_wrong_with_features_is_said_at_once(tmp_path: Path) -> None:
    root = tree(tmp_path / "mine", npy)
    np.save(root / "cat" / "nan.npy", np.full((4, 24), np.nan, np.float32))
    np.save(root / "cat" / "wide.npy", np.ones((4, 25), np.float32))
    np.save(root / "cow" / "text.npy", np.array(["x"]))
    np.save(root / "cow" / "empty.npy", np.zeros((0, 24), np.float32))
    words = go(tmp_path, f'root = "{root}"').words
    for each in (
        "4 problems",
        "'cat/nan.npy' has numbers",
        "'cat/wide.npy' with 25",
        "'cow/text.npy'",
        "'cow/empty.npy'",
    ):
        assert each in words


def test_features_that_stand_in_two_splits_are_refused(tmp_path: Path) -> None:
    root = tree(tmp_path / "mine", npy)
    for i in range(5):
        np.save(root / "cow" / f"again{i}.npy", np.load(root / "cat" / f"cat{i}.npy"))
    call = go(tmp_path, f'root = "{root}"')
    assert call.code == 1
    assert "the same audio in two splits" in call.words


def test_an_empty_folder_says_what_to_put_there(tmp_path: Path) -> None:
    (tmp_path / "mine" / "cat").mkdir(parents=True)
    call = go(tmp_path, f'root = "{tmp_path / "mine"}"')
    assert call.code == 1
    assert "no features in" in call.words
    assert ".npy .npz .parquet .tfrecord" in call.words


def test_changed_features_are_done_again(tmp_path: Path) -> None:
    root = tree(tmp_path / "mine", npy)
    assert go(tmp_path, f'root = "{root}"').code == 0
    assert "0 run now, 1 done before" in go(tmp_path, f'root = "{root}"').words
    (root / "cat" / "cat0.npy").unlink()
    assert "its data changed: 1 file removed (cat/cat0.npy)" in go(tmp_path, f'root = "{root}"').words


def test_features_that_are_named_and_not_there_are_no_silent_loss(tmp_path: Path) -> None:
    root = tree(tmp_path / "mine", npy)
    np.save(root / "loose.npy", np.ones((4, 24)))
    call = go(tmp_path, f'root = "{root}"')
    assert call.code == 1
    assert "'loose.npy': it is in no class's folder" in call.words
    (root / "loose.npy").unlink()
    names = [f"{label}/{label}{i}.npy,{label}" for label in ("cat", "cow") for i in range(10)]
    (root / "t.csv").write_text("\n".join(["path,label", *names, "cow/none.npy,cow", "cow/nan.npy,cow"]))
    np.save(root / "cow" / "nan.npy", np.full((4, 24), np.nan))
    call = go(tmp_path, f'csv = "{root / "t.csv"}"')
    assert call.code == 1
    assert "'cow/none.npy': there is no such file" in call.words
    assert "'cow/nan.npy' has numbers that are not finite" in call.words  # all that is wrong at once
    (root / "t.csv").write_text("path,label\nfar/a.npy,cat\nfar/b.npy,cow\n")
    assert "'far/a.npy': there is no such file" in go(tmp_path, f'csv = "{root / "t.csv"}"').words
