#!/usr/bin/env bash
# lhotse's SpecAugment masks up to nine tenths of a short clip that is padded, or nothing of it: its limit of 15 % is one of the batch.
#
# Guess:    max_frames_mask_fraction=0.15 masks at most 15 % of the frames of each clip: it is documented as relative to the length "of the
#           utterance (or supervision segment)", and the call says where in the batch the clip is.
# Happens:  a clip of 1 s loses at most 14 % if it is alone, and some of it in nearly every call. In a batch that is padded to 10 s it loses
#           up to 91 %, and nothing in 79 % of the calls. What is masked gets the level of the padding, not the mean of the clip. And
#           num_frame_masks=0, which is documented "to disable" the masks, divides by zero.
# Cause:    the given segments are used for time warping alone. Number, length and place of the masks are drawn for all frames of the
#           padded clip, and their value is the mean of all of them.
# Matters:  sound events have clips of very different lengths. The short ones are either erased, with their label kept, or not augmented, and
#           how often depends on the longest clip of their batch. Group clips by length, or mask before the padding.
# Versions: lhotse 1.33.0, torch 2.13.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   lhotse 1.33.0
#   max_frames_mask_fraction: 0.15
#   a clip of 100 frames in a batch of 100: masks take at most 14% of it, none of it in 7% of calls; mean of the clip -5, of what is masked -5.0
#   a clip of 100 frames in a batch of 1000: masks take at most 91% of it, none of it in 79% of calls; mean of the clip -5, of what is masked -14.9
#   a clip of 1000 frames in a batch of 1000: masks take at most 15% of it, none of it in 0% of calls; mean of the clip -5, of what is masked -5.0
#   num_frame_masks=0 ("to disable"): ZeroDivisionError: float floor division by zero
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0 lhotse==1.33.0 urllib3==2.8.0

cat > check.py <<'PYTHON'
import random
from importlib.metadata import version

import numpy as np
import torch
from lhotse.dataset import SpecAugment

PADDING = -16.0  # what lhotse pads log-mel features with, about


def masked(frames, padded, calls=1000):
    """Return the shares of a clip's frames that are masked in many calls, and the mean of the values that they get."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    augment = SpecAugment(time_warp_factor=None, num_feature_masks=0, p=1.0)  # time masks alone, with their default settings
    batch = torch.full((1, padded, 80), PADDING)
    batch[0, :frames] = torch.randn(frames, 80) - 5
    where = torch.tensor([[0, 0, frames]])  # the number of the clip in the batch, its first frame and its frames, as lhotse's datasets say it
    shares, values = [], []
    for _ in range(calls):
        clip = augment(batch, where)[0, :frames]
        changed = (clip != batch[0, :frames]).any(1)
        shares.append(changed.float().mean().item())
        values += clip[changed].mean(1).tolist()
    return np.array(shares), np.mean(values)


print("lhotse", version("lhotse"))
limit = SpecAugment().max_frames_mask_fraction
print(f"max_frames_mask_fraction: {limit}")
found = {}
for frames, padded in ((100, 100), (100, 1000), (1000, 1000)):
    shares, value = masked(frames, padded)
    found[frames, padded] = shares
    print(f"a clip of {frames} frames in a batch of {padded}: masks take at most {shares.max():.0%} of it,", end=" ")
    print(f"none of it in {np.mean(shares == 0):.0%} of calls; mean of the clip -5, of what is masked {value:.1f}")
try:
    SpecAugment(num_frame_masks=0, p=1.0)(torch.randn(1, 1000, 80))
    disabled = "works"
except ZeroDivisionError as error:
    disabled = f"ZeroDivisionError: {error}"
print(f'num_frame_masks=0 ("to disable"): {disabled}')
assert found[100, 100].max() <= limit
assert found[1000, 1000].max() <= limit
assert found[100, 1000].max() > 0.5
assert disabled != "works"
PYTHON
venv/bin/python check.py
