#!/usr/bin/env bash
# torch-audiomentations shifts the pitch of a clip of 16 kHz by one of four steps, whatever the range allows between them.
#
# Guess:    PitchShift(-4, 4) shifts each clip by some number of semitones between -4 and 4, drawn from all of them.
# Happens:  of 200 tones of 1 kHz at 16 kHz there come out four frequencies: 800, 977, 1024 and 1250 Hz, which are -3.86, -0.41, 0.41 and
#           3.86 semitones. A range of -3 to 3 leaves two, a sixth of it wide. The same range has 26 steps at 44.1 kHz and 2 at
#           8 kHz, where -3 to 3 is refused.
# Cause:    only ratios that are quotients of divisors of the sample rate are drawn, because those are quick to compute.
# Matters:  the name and the range of this augmentation say little without the sample rate; most shifts are near the edge of the
#           range or next to nothing. An ablation of the range at 16 kHz compares 4 semitones with 0.41, and finds no difference
#           between 1 and 3.
# Versions: torch-audiomentations 0.12.0, torch-pitch-shift 1.2.5, torch 2.13.0, Python 3.11.7.
# Date:     2026-11
# Output:
#   torch-audiomentations 0.12.0
#   16000 Hz, -4 to 4 semitones: 4 steps: -3.86, -0.41, 0.41, 3.86
#   16000 Hz, -3 to 3 semitones: 2 steps: -0.41, 0.41
#   44100 Hz, -4 to 4 semitones: 26 steps
#   8000 Hz, -4 to 4 semitones: 2 steps: -3.86, 3.89
#   8000 Hz, -3 to 3 semitones: refused
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0
venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps torch-audiomentations==0.12.0 \
    torch-pitch-shift==1.2.5 julius==0.2.8 primePy==1.3 packaging==26.4 torchaudio==2.11.0
# The compiled part of torchaudio needs the libraries of CUDA, also without a GPU. The shift does not use it.
rm -f venv/lib/python3*/site-packages/torchaudio/lib/_torchaudio*.so

cat > check.py <<'PYTHON'
import math
import random
import sys
import warnings
from importlib.metadata import version

warnings.filterwarnings("ignore")

import torch
from torch_audiomentations import PitchShift


def steps(rate, semitones):
    """Return the steps in semitones that 200 tones of 1 kHz are shifted by, from the peaks of their spectra."""
    tone = torch.sin(2 * math.pi * 1_000 * torch.arange(rate // 4) / rate)
    shift = PitchShift(-semitones, semitones, p=1.0, sample_rate=rate, output_type="dict")
    shifted = shift(tone.repeat(200, 1, 1), rate)["samples"][:, 0]
    spectra = torch.fft.rfft(shifted * torch.hann_window(shifted.shape[1]), n=2 * rate).abs()
    frequencies = spectra.argmax(1) / 2
    return sorted({round(12 * math.log2(frequency / 1_000), 2) for frequency in frequencies.tolist()})


random.seed(0)
found = {}
print("torch-audiomentations", version("torch-audiomentations"))
for rate, semitones in ((16_000, 4.0), (16_000, 3.0), (44_100, 4.0), (8_000, 4.0), (8_000, 3.0)):
    try:
        seen = steps(rate, semitones)
    except ValueError:
        seen = None
    found[rate, semitones] = seen
    words = "refused" if seen is None else f"{len(seen)} steps" + (f": {', '.join(map(str, seen))}" if len(seen) < 9 else "")
    print(f"{rate} Hz, {-semitones:g} to {semitones:g} semitones: {words}")
counts = [None if seen is None else len(seen) for seen in found.values()]
sys.exit(0 if counts == [4, 2, 26, 2, None] else "the behaviour has changed")
PYTHON
venv/bin/python check.py
