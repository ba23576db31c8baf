#!/usr/bin/env bash
# torch-audiomentations' coloured noise is one second of noise again and again, and its pink noise is brown.
#
# Guess:    AddColoredNoise adds noise that goes on for the whole clip. f_decay=1 is pink noise, as its documentation
#           says: each octave is 3 dB below the one an octave lower, per hertz. f_decay=2 is brown, with 6 dB.
# Happens:  In a clip of 10 s the ten seconds of noise are the same, sample by sample, so that it is a sound with a
#           period of 1 s: all its power is at multiples of 1 Hz. f_decay=1 falls by 6 dB per octave and f_decay=2 by
#           12 dB. The signal-to-noise ratio is right.
# Cause:    _gen_noise draws `sample_rate` samples and repeats them up to the length of the clip. It scales amplitudes,
#           not powers, by 1 / f ** f_decay.
# Matters:  Ten times less noise is drawn than it seems, a model that sees more than a second can learn the repetition,
#           and averages over frames that are seconds apart do not reduce it. Half the value, 0.5, gives pink noise. Cut
#           clips to a second first, or make the noise yourself.
# Versions: torch-audiomentations 0.12.0, torch 2.13.0 on the CPU, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   torch-audiomentations 0.12.0
#   f_decay=0: 10.0 dB asked, 10.0 dB found, 0.0 dB per octave, seconds differ by at most 0.000000
#   f_decay=1: 10.0 dB asked, 10.0 dB found, 5.8 dB per octave, seconds differ by at most 0.000000
#   f_decay=2: 10.0 dB asked, 10.0 dB found, 11.6 dB per octave, seconds differ by at most 0.000000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0
venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps torch-audiomentations==0.12.0 \
    torch-pitch-shift==1.2.5 julius==0.2.8 primePy==1.3 packaging==26.4 torchaudio==2.11.0
# The compiled part of torchaudio needs the libraries of CUDA, also without a GPU. The noise does not use it.
rm -f venv/lib/python3*/site-packages/torchaudio/lib/_torchaudio*.so

cat > check.py <<'PYTHON'
import warnings
from importlib.metadata import version

import torch

warnings.simplefilter("ignore")  # of the packages that are imported
from torch_audiomentations import AddColoredNoise

print("torch-audiomentations", version("torch-audiomentations"))
rate, seconds = 16000, 10
clip = 0.1 * torch.sin(2 * torch.pi * 440 * torch.arange(seconds * rate, dtype=torch.float64) / rate)[None, None].float()


def octave(noise, low):
    """Return how many dB the power per hertz falls from the octave above `low` to the one above 2 * low."""
    power = torch.fft.rfft(noise[:rate].double()).abs().square()
    return 10 * torch.log10(power[low : 2 * low].mean() / power[2 * low : 4 * low].mean()).item()


torch.manual_seed(0)
for decay in (0, 1, 2):
    change = AddColoredNoise(10.0, 10.0, float(decay), float(decay), p=1.0, sample_rate=rate, output_type="dict")
    slopes, ratios, repeats = [], [], []
    for _ in range(20):
        noise = (change(clip, sample_rate=rate).samples - clip)[0, 0]
        slopes.append(octave(noise, 1500))
        ratios.append(10 * torch.log10(clip.square().mean() / noise.square().mean()).item())
        parts = noise.reshape(seconds, rate)
        repeats.append((parts - parts[0]).abs().max().item())
    slope, ratio, repeat = sum(slopes) / 20, sum(ratios) / 20, max(repeats)
    print(
        f"f_decay={decay}: 10.0 dB asked, {ratio:.1f} dB found, {slope + 0:.1f} dB per octave, "
        f"seconds differ by at most {repeat:.6f}"
    )
    assert abs(slope - 6 * decay) < 0.5 and abs(ratio - 10) < 0.1 and repeat < 1e-6
PYTHON
venv/bin/python check.py
