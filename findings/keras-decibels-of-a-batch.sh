#!/usr/bin/env bash
# Keras' MelSpectrogram gives a quiet clip other features when a loud clip is in the same batch.
#
# Guess:    A layer without weights maps each clip of a batch by itself, so a clip has the same features alone and in
#           company. top_db=80 limits a clip to the 80 dB below its own loudest point.
# Happens:  The limit is 80 dB below the loudest point of the whole batch. A quiet noise alone has features from -98 to
#           -62 dB; next to a loud one, every point of it is the same -41.7 dB. Batches of one clip are never affected.
# Cause:    The layer subtracts top_db from the maximum over all axes of its input, the batch included.
# Matters:  Logits depend on the other clips of a batch, so scores depend on the batch size and on the order, and a model
#           that is trained on batches sees other features when it is served clip by clip. Set top_db to a number that
#           no clip reaches (such as 200), or call the layer on one clip at a time.
# Versions: keras 3.15.1 on torch 2.13.0 (CPU), numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   keras 3.15.1
#   alone: -98.4 to -61.7 dB
#   next to a loud clip: -41.7 to -41.7 dB
#   next to a loud clip with top_db=200: greatest difference 0.0 dB
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check keras==3.15.1 torch==2.13.0 numpy==2.4.6

cat > check.py <<'PYTHON'
import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np

noise = np.random.default_rng(0).standard_normal(16_000).astype("float32")
quiet, loud = 0.5e-5 * noise, 0.5 * noise


def features(clips, **options):
    """Return the log-mel spectrogram of the first clip."""
    layer = keras.layers.MelSpectrogram(sampling_rate=16_000, **options)
    return keras.ops.convert_to_numpy(layer(np.stack(clips)))[0]


print("keras", keras.__version__)
alone, together = features([quiet]), features([quiet, loud])
print(f"alone: {alone.min():.1f} to {alone.max():.1f} dB")
print(f"next to a loud clip: {together.min():.1f} to {together.max():.1f} dB")
assert alone.max() - alone.min() > 30 and together.max() == together.min()
assert np.abs(together.max() - features([loud]).max() + 80) < 1e-3
wide = np.abs(features([quiet], top_db=200) - features([quiet, loud], top_db=200)).max()
print(f"next to a loud clip with top_db=200: greatest difference {wide:.1f} dB")
assert wide < 0.05
PYTHON
venv/bin/python check.py
