#!/usr/bin/env bash
# Speech models of transformers mask their features in training, with positions from NumPy's generator: torch's seed is not enough.
#
# Guess:    after torch.manual_seed a training step of a torch model on the CPU can be repeated bit for bit, and a checkpoint with the
#           states of torch's generators continues a training as it would have gone on.
# Happens:  with the same seed of torch, three steps of Wav2Vec2, HuBERT and WavLM (no dropout, no dropped layers) give three different
#           outputs. They are the same when NumPy's generator has its seed, too.
# Cause:    the positions of the masks are drawn by np.random, and masks are on unless a configuration turns them off: 5 % of the
#           frames begin a mask of ten, at least twice in a clip.
# Matters:  a classifier that is fine-tuned "without augmentation" is trained with masks. Processes whose NumPy seeds are equal mask
#           alike. A resumed training needs the state of NumPy's generator, which Lightning's checkpoints do not have.
# Versions: transformers 5.24.0, torch 2.13.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   transformers 5.24.0
#   Wav2Vec2: torch's seed alone 3 outputs, with NumPy's 1, without masks 1
#   Hubert: torch's seed alone 3 outputs, with NumPy's 1, without masks 1
#   WavLM: torch's seed alone 3 outputs, with NumPy's 1, without masks 1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0 transformers==5.24.0

cat > check.py <<'PYTHON'
import sys

import numpy as np
import torch
import transformers

SIZES = {
    "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "num_labels": 4,
    "conv_dim": (32,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2,
}
NOTHING_DROPPED = {
    "hidden_dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0, "feat_proj_dropout": 0.0,
    "final_dropout": 0.0, "layerdrop": 0.0,
}
ok = True
print("transformers", transformers.__version__)
for name in ("Wav2Vec2", "Hubert", "WavLM"):
    configuration = getattr(transformers, f"{name}Config")(**SIZES, **NOTHING_DROPPED)
    torch.manual_seed(0)
    model = getattr(transformers, f"{name}ForSequenceClassification")(configuration).train()
    sound = torch.randn(2, 16_000)

    def outputs(both):
        found = set()
        for _ in range(3):
            torch.manual_seed(1)
            if both:
                np.random.seed(1)
            found.add(model(sound).logits.detach().numpy().tobytes())
        return len(found)

    alone, together = outputs(False), outputs(True)
    configuration.apply_spec_augment = False
    plain = outputs(False)
    print(f"{name}: torch's seed alone {alone} outputs, with NumPy's {together}, without masks {plain}")
    ok &= (alone, together, plain) == (3, 1, 1)
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
venv/bin/python check.py
