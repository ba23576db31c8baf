"""A run's files are those that its record names, or they are not used."""

from pathlib import Path

import numpy as np
import pytest

from bench.errors import RunError
from bench.records import Record, Run, Store, artifacts

RUN = Run(model="cnn", frontend="logmel", dataset="synthetic")


def finished(store: Store, logits: float) -> Record:
    """Write a record whose artifacts are new."""
    new = store.artifacts(RUN.key) / ".tmp-run-x"
    new.mkdir(parents=True, exist_ok=True)
    np.savez(new / "logits.npz", logits=np.full((2, 3), logits))
    (new / "weights.safetensors").write_bytes(b"weights %f" % logits)
    record = Record(run=RUN, status="ok", artifacts=artifacts.digests(new))
    store.write_with_artifacts(record, new)
    return record


def test_a_record_names_the_digests_of_its_files(tmp_path: Path) -> None:
    store = Store(tmp_path)
    finished(store, 1.0)
    record = store.get(RUN.key)
    assert record is not None
    assert sorted(record.artifacts) == ["logits.npz", "weights.safetensors"]
    assert artifacts.logits(store, record)["logits"].tolist() == [[1.0] * 3] * 2
    assert "artifacts" not in Record(run=RUN, status="ok").to_json()


@pytest.mark.parametrize("name", ["logits.npz", "weights.safetensors"])
def test_a_flipped_bit_is_found(tmp_path: Path, name: str) -> None:
    store = Store(tmp_path)
    record = finished(store, 1.0)
    path = store.artifacts(RUN.key) / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"is not the file that the record of .* names .* --force"):
        artifacts.read(path, record, RUN.key)
    assert artifacts.read(path, None, RUN.key) == bytes(content)


def test_logits_without_a_digest_that_are_damaged(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.artifacts(RUN.key).mkdir(parents=True)
    (store.artifacts(RUN.key) / "logits.npz").write_bytes(b"PK no archive")
    with pytest.raises(RunError, match=r"logits.npz is damaged"):
        artifacts.logits(store, Record(run=RUN, status="ok"))


def test_new_artifacts_and_their_record_come_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    finished(store, 1.0)
    (store.artifacts(RUN.key) / "model.pt").write_bytes(b"of an earlier version")
    with monkeypatch.context() as patch:
        patch.setattr(Store, "write", lambda self, record: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            finished(store, 2.0)
    assert store.get(RUN.key) is None  # it is done again
    record = finished(store, 3.0)
    assert artifacts.logits(store, record)["logits"][0, 0] == 3.0
    assert sorted(path.name for path in store.artifacts(RUN.key).iterdir() if path.is_file()) == [
        "logits.npz", "record.json", "weights.safetensors",
    ]  # fmt: skip


def test_what_a_killed_run_left_is_removed_unless_the_run_is_being_done(tmp_path: Path) -> None:
    store = Store(tmp_path)
    leftover = store.artifacts(RUN.key) / ".tmp-run-x"
    leftover.mkdir(parents=True)
    with store.claim(RUN.key):
        store.sweep()
        assert leftover.is_dir()
    store.sweep()
    assert not leftover.exists()
