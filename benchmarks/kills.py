"""SIGKILL inside trainings: does the run that is started again end bit for bit as one that was never killed?

    .venv/bin/python benchmarks/kills.py [--kills 5] [--seed 0]

A CNN with averaged weights and augmented waveforms, an LTC, an LSTM on embeddings, and a model on a stream from shards,
each killed KILLS times, a random part of an epoch after a random number of epochs were saved. Compared are weights,
logits, learning curves and scores.
"""

import argparse
import hashlib
import io
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from rich.console import Console

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

from fakes import vggsound  # noqa: E402

from bench import suites  # noqa: E402
from bench.records import Store  # noqa: E402
from bench.runner.driver import Runner  # noqa: E402
from bench.runner.progress import Progress  # noqa: E402
from bench.runner.settings import RunSettings  # noqa: E402

COMMON = """
[recipe]
epochs = 8
batch_size = 8
learning_rate = 1e-2
"""

SUITES = {
    "cnn, EMA and augmentation": """
models = ["cnn"]
datasets = ["synthetic"]
[recipe]
epochs = 8
batch_size = 8
learning_rate = 1e-2
ema_decay = 0.9
mixup = 0.3
time_masks = 1
speed = 0.1
noise_snr_db = [5.0, 20.0]
waveform_shift = 0.2
[dataset.synthetic]
clips_per_class = 10
clip_seconds = 0.5
""",
    "ltc": f"""
models = ["ltc"]
datasets = ["synthetic"]
{COMMON}
[dataset.synthetic]
clips_per_class = 10
clip_seconds = 0.5
""",
    "lstm on embeddings": f"""
models = ["lstm-skip"]
datasets = ["embeddings"]
{COMMON}
balanced = true
patience = 7
[dataset.embeddings]
root = "FEATURES"
""",
    "stream from shards": f"""
models = ["swishnet"]
datasets = ["vggsound"]
{COMMON}
schedule = "sgdr"
balanced = true
time_shift = 0.5
[dataset.vggsound]
clip_seconds = 0.5
sample_rate = 16000
""",
}


def features(folder: Path) -> None:
    """Write embeddings of three classes."""
    rng = np.random.default_rng(0)
    for label in "abc":
        (folder / label).mkdir(parents=True)
        for i in range(30):
            np.save(folder / label / f"{label}{i}.npy", rng.normal(ord(label) - 98, 2, (10, 64)).astype(np.float32))


def run(suite: suites.Suite, store: Path, data: Path) -> bool:
    """Do the suite's run in a process of its own, without timing it; return whether it is done."""
    settings = RunSettings(store=store, data_dir=data, device="cpu", checkpoint_seconds=0.0)
    runner = Runner(suite, settings, Progress(Console(file=io.StringIO())))
    runner._time = lambda *some: None  # type: ignore[method-assign]
    return bool(runner.run(suite.runs()).done)


def result(store: Path) -> tuple[str, int]:
    """Return a digest of everything that a training gives, and how often it was resumed."""
    (key,) = Store(store).keys()
    record = Store(store).get(key)
    assert record is not None
    assert record.status == "ok", record.error
    folder = Store(store).artifacts(key)
    parts = [(folder / name).read_bytes() for name in ("weights.safetensors", "logits.npz")]
    curves = [record.curves, record.best_epoch, record.scores, record.draws]
    parts.append(json.dumps(curves, default=list).encode())
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest(), record.resumed


def saved(store: Path) -> tuple[int, int]:
    """Return the identity of the newest checkpoint; zeros where there is none."""
    for path in (store / "checkpoints").glob("*/newest.ckpt"):
        try:
            about = path.stat()
        except FileNotFoundError:
            continue
        return about.st_ino, about.st_mtime_ns
    return 0, 0


def killed(suite: suites.Suite, store: Path, data: Path, after: int, wait: float) -> bool:
    """Do the run and kill its process some time after a number of checkpoints; return whether it was still at work."""
    ended = threading.Event()

    def kill() -> None:
        seen, known = 0, saved(store)
        while not ended.is_set() and seen < after:
            if (now := saved(store)) != known:
                seen, known = seen + 1, now
            time.sleep(0.001)
        time.sleep(wait)
        for child in multiprocessing.active_children():
            if child.pid is not None and child.is_alive():
                os.kill(child.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    done = run(suite, store, data)
    ended.set()
    killer.join()
    return not done


def main() -> None:
    """Kill, start again, compare, and print a line for each kill."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    same = total = 0
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        vggsound.write(place / "vggsound", shards=3, train=90, test=12)
        features(place / "features")
        for name, text in SUITES.items():
            file = place / "suite.toml"
            file.write_text(text.replace("FEATURES", str(place / "features")))
            suite = suites.read(str(file))
            whole = place / "whole"
            began = time.monotonic()
            assert run(suite, whole, place), Store(whole).get(suite.runs()[0].key)
            reference, _ = result(whole)
            print(f"{name}: {time.monotonic() - began:.1f} s without a kill", flush=True)
            kills = 0
            while kills < given.kills:
                store = place / "killed"
                shutil.rmtree(store, ignore_errors=True)
                after, wait = rng.randint(1, 6), rng.uniform(0, 0.1)
                if not killed(suite, store, place, after, wait):
                    continue  # it was done before
                kills += 1
                assert run(suite, store, place)
                found, resumed = result(store)
                left = list(store.glob("checkpoints/*/*"))
                same += found == reference and resumed == 1 and not left
                total += 1
                words = "identical" if found == reference else "DIFFERENT"
                print(
                    f"  killed {wait:.2f} s after {after} checkpoints, resumed {resumed}: {words} {left or ''}",
                    flush=True,
                )
            shutil.rmtree(whole)
    print(f"{same} of {total} identical")
    sys.exit(same != total)


if __name__ == "__main__":
    main()
