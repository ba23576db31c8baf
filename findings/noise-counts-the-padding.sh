#!/usr/bin/env bash
# SpeechBrain's AddNoise measures its noise over the padding, too: the shorter a clip is in its batch, the less noise it gets.
#
# Guess:    AddNoise(snr_low=10, snr_high=10) gives each clip of a padded batch 10 dB, because it takes the clips' lengths.
# Happens:  the longest clip of the batch has 10.0 dB, one of half its length 13.0 dB, and one of a tenth of it 20.0 dB. The silence
#           that pads them is filled with the noise as well.
# Cause:    the noise is as long as the batch. Its energy is summed over all of that and divided by the clip's own length, so its
#           level is taken for higher than it is by the ratio of the lengths.
# Matters:  with clips of various lengths (dog barks, keywords, UrbanSound8K) the trained or tested ratio is another one for each clip
#           and changes with the clips that happen to share its batch. A robustness table "at 10 dB" is easier than it says.
# Versions: speechbrain 1.1.2, torch 2.13.0, Python 3.11.7.
# Date:     2026-11
# Output:
#   speechbrain 1.1.2
#   a clip of 100 % of the batch's length: 10.0 dB; noise in its padding: none
#   a clip of 50 % of the batch's length: 13.0 dB; noise in its padding: as loud as in the clip
#   a clip of 10 % of the batch's length: 20.1 dB; noise in its padding: as loud as in the clip
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0
venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps torchaudio==2.11.0
venv/bin/python -m pip install --quiet --disable-pip-version-check speechbrain==1.1.2
rm -f venv/lib/python3*/site-packages/torchaudio/lib/_torchaudio*.so # its C++ part is for another torch; nothing here uses it

cat > check.py <<'PYTHON'
import math
import sys

import speechbrain
import torch
from speechbrain.augment.time_domain import AddNoise

SAMPLES, ASKED = 160_000, 10.0
torch.manual_seed(0)
shares = (1.0, 0.5, 0.1)
clips = torch.zeros(len(shares), SAMPLES)
for clip, share in zip(clips, shares):
    n = round(share * SAMPLES)
    clip[:n] = 0.3 * torch.sin(0.2 * torch.arange(n))
mixed = AddNoise(snr_low=ASKED, snr_high=ASKED)(clips.clone(), torch.tensor(shares))
kept = 1 - 1 / (10 ** (ASKED / 20) + 1)  # the clips are made quieter to make room for the noise

print("speechbrain", speechbrain.__version__)
ok = True
for clip, noisy, share, expected in zip(clips, mixed, shares, (10.0, 13.0, 20.0)):
    n = round(share * SAMPLES)
    noise = noisy - kept * clip
    level = noise[:n].square().mean()
    ratio = 10 * math.log10((kept * clip[:n]).square().mean() / level)
    padding = "none"
    if n < SAMPLES:
        inside = 10 * math.log10(noise[n:].square().mean() / level)
        padding = "as loud as in the clip" if abs(inside) < 0.2 else f"{inside:.1f} dB"
        ok &= abs(inside) < 0.2
    print(f"a clip of {share:.0%} of the batch's length: {ratio:.1f} dB; noise in its padding: {padding}".replace("%", " %"))
    ok &= abs(ratio - expected) < 0.2
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
