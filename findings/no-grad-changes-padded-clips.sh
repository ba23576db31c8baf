#!/usr/bin/env bash
# A transformer's scores of padded clips change when gradients are switched off, and when it is exported.
#
# Guess:    torch.no_grad() changes memory and speed, not values: in eval() a net with nn.TransformerEncoder and
#           src_key_padding_mask gives the same scores with it and without it, up to rounding, and so does its export.
# Happens:  With a mean over all frames behind the encoder, logits move by 0.47 and 78 of 200 decisions change. In
#           training, in eval() with gradients and in torch.export's program the padded frames hold what the layers make
#           of padding; in eval() without gradients they are zeros. No warning names the difference.
# Cause:    Without gradients the encoder takes a fast path: it packs the clips into a nested tensor without their
#           padding, and fills up with zeros at the end. With gradients, or while tracing, it does not.
# Matters:  The net is trained as one function, validated as a second one (Lightning validates without gradients), and
#           the exported file, a saliency map or an adversarial example is of the first one again. A mean over the frames
#           that are no padding has equal values, and so has `enable_nested_tensor=False`.
# Versions: torch 2.13.0 on the CPU, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   torch 2.13.0+cpu
#   mean over all frames: logits move by 0.47, 78 of 200 decisions change; the export's logits by 0.00
#   mean over all frames, enable_nested_tensor=False: logits move by 0.00, 0 of 200 decisions change; the export's logits by 0.00
#   mean over frames that are no padding: logits move by 0.00, 0 of 200 decisions change; the export's logits by 0.00
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0

cat > check.py <<'PYTHON'
import warnings

import torch
from torch import nn

warnings.simplefilter("ignore")  # nested tensors are called a prototype


class Net(nn.Module):
    def __init__(self, masked, **options):
        super().__init__()
        layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
        self.encoder, self.head, self.masked = nn.TransformerEncoder(layer, 2, **options), nn.Linear(32, 10), masked

    def forward(self, frames, padded):
        frames = self.encoder(frames, src_key_padding_mask=padded)
        if not self.masked:
            return self.head(frames.mean(1))
        kept = (~padded).unsqueeze(2).float()
        return self.head((frames * kept).sum(1) / kept.sum(1))


torch.manual_seed(0)
frames, lengths = torch.randn(200, 100, 32), torch.randint(20, 101, (200,))
padded = torch.arange(100) >= lengths[:, None]


def compare(name, masked, **options):
    """Print how far logits and decisions without gradients, and the export's logits, are from those with gradients."""
    torch.manual_seed(1)
    net = Net(masked, **options).eval()
    usual = net(frames, padded).detach()
    with torch.no_grad():
        without = net(frames, padded)
    exported = torch.export.export(net, (frames, padded)).module()(frames, padded).detach()
    away, export = (without - usual).abs().max().item(), (exported - usual).abs().max().item()
    changed = int((without.argmax(1) != usual.argmax(1)).sum())
    print(f"{name}: logits move by {away:.2f}, {changed} of 200 decisions change; the export's logits by {export:.2f}")
    return away, export


print("torch", torch.__version__)
away, export = compare("mean over all frames", False)
packed, _ = compare("mean over all frames, enable_nested_tensor=False", False, enable_nested_tensor=False)
masked, _ = compare("mean over frames that are no padding", True)
assert away > 0.1 and max(export, packed, masked) < 1e-4
PYTHON
venv/bin/python check.py
