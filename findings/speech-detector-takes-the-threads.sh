#!/usr/bin/env bash
# Importing silero-vad leaves PyTorch one thread for everything else.
#
# Guess:    `import silero_vad` defines functions. A program that drops silence with it and then trains has as many threads
#           for its training as before; if the detector wants one thread, it asks for it where it runs.
# Happens:  The import sets the number of threads of the whole process to 1, also where the program had set another
#           number before, and nothing sets it back. Setting it after the import holds, also while a detector is loaded
#           and used.
# Cause:    The module silero_vad/model.py calls torch.set_num_threads(1) when it is imported.
# Matters:  A training or an evaluation on a processor of many cores becomes several times slower because of an import that
#           may be deep in a package for data. A speed that is measured after it is one of a single thread. Import it
#           first, or set the number again after the import.
# Versions: silero-vad 6.2.3, torch 2.13.0 on the CPU, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   silero-vad 6.2.3 torch 2.13.0+cpu
#   set to 4: 4 threads, after the import: 1
#   set to 4 after the import: 4, after loading a detector: 4, after using it: 4
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0 packaging==26.4
venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps silero-vad==6.2.3 torchaudio==2.11.0
# The compiled part of torchaudio needs the libraries of CUDA, also without a GPU. The detector does not use it.
rm -f venv/lib/python3*/site-packages/torchaudio/lib/_torchaudio*.so

cat > check.py <<'PYTHON'
from importlib.metadata import version

import torch

torch.set_num_threads(4)
before = torch.get_num_threads()
import silero_vad

after = torch.get_num_threads()
print("silero-vad", version("silero-vad"), "torch", torch.__version__)
print(f"set to 4: {before} threads, after the import: {after}")
torch.set_num_threads(4)
again = torch.get_num_threads()
detector = silero_vad.load_silero_vad()
loaded = torch.get_num_threads()
silero_vad.get_speech_timestamps(torch.randn(16000) * 0.01, detector)
used = torch.get_num_threads()
print(f"set to 4 after the import: {again}, after loading a detector: {loaded}, after using it: {used}")
assert (before, after, again, loaded, used) == (4, 1, 4, 4, 4)
PYTHON
venv/bin/python check.py
