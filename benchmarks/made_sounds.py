"""The sounds that pages play: made clips that most systems miss, as IMA ADPCM of four bits at 8 kHz.

python benchmarks/made_sounds.py > bench/leaderboard/render/sounds.json
"""

import argparse
import base64
import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

import bench
from bench.leaderboard import clips

RATE = 8000
"""Samples per second."""
KEPT = 4
"""Number of sounds: a page has to stay below 300 kB."""

_STEPS = tuple(min(32767, round(7 * 1.1**n)) for n in range(89))
_MOVES = (-1, -1, -1, -1, 2, 4, 6, 8)


def encode(samples: NDArray[np.float32]) -> bytes:
    """Return samples `(S,)` in [-1, 1] as IMA ADPCM: four bits each, the first one in the low half of a byte."""
    guess, index, codes = 0, 0, []
    for sample in np.rint(32767 * np.clip(samples, -1, 1)).astype(int).tolist():
        step = _STEPS[index]
        size = min(7, 4 * abs(sample - guess) // step)
        sign = 8 if sample < guess else 0
        guess = _next(guess, step, size, sign)
        index = max(0, min(88, index + _MOVES[size]))
        codes.append(sign | size)
    codes += [0] * (len(codes) % 2)
    return bytes(low | high << 4 for low, high in zip(codes[::2], codes[1::2], strict=True))


def _next(guess: int, step: int, size: int, sign: int) -> int:
    change = step * (2 * size + 1) // 8
    return max(-32768, min(32767, guess - change if sign else guess + change))


def hardest(path: Path) -> list[str]:
    """Return the clip of each class that the most runs miss, for the classes with the most missed ones."""
    missed: Counter[str] = Counter()
    for run in clips.read(path).values():
        missed.update(name for name, t, p in zip(run.ids, run.truth, run.predicted, strict=True) if t != p)
    order = sorted(missed, key=lambda name: (-missed[name], name))
    first = {name.partition("-")[0]: name for name in reversed(order)}
    return [name for name in order if name in first.values()][:KEPT]


def main() -> None:
    """Write the sounds as JSON to the standard output."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    data = bench.create_datamodule("synthetic")
    data.setup()
    test = data.splits.test
    made = {}
    for name in hardest(Path("leaderboards/clips/all.json")):
        samples = soxr.resample(test.load([test.ids.index(name)])[0].float().numpy(), data.sample_rate, RATE)
        made[name] = base64.b64encode(encode(samples)).decode()
    json.dump({"synthetic": made}, sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
