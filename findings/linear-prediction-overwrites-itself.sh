#!/usr/bin/env bash
# audiofeat's linear prediction overwrites what it still reads: a plain resonance gets coefficients of a million instead of below 2.
#
# Guess:    lpc_coefficients() solves the equations of linear prediction, as SciPy's solver does. lpcc() gives the cepstrum of the model,
#           decay_time() the time until a bell is 20 dB softer, and the spectral features of "an audio signal" look at all of it.
# Happens:  of a resonance at 1 kHz the coefficient of order 1 is right, the first of order 2 is -3.38 instead of -1.77, and order 4 gives
#           1,400,000 instead of 0.94. The cepstral coefficients of low-passed noise are those of high-passed noise. The decay time of a
#           bell is 0.5 ms at 500 Hz and 0.25 ms at 1 kHz, however long it rings. Eight spectral features of a clip do not change where all
#           but its first 128 ms are replaced by noise. Nothing is said.
# Cause:    the recursion keeps `a[j]` and `a[i - j]` in two names before it writes to both. In PyTorch these names are views of the same
#           memory, so the second line reads what the first has written. The formula of the cepstrum is for coefficients of the other
#           sign. The decay ends at the first single sample that is small, which each wave has near its zeros: there is no envelope. The
#           spectral features cover the clip with one Hann window and then take an FFT of `n_fft` points, which cuts the rest off.
# Matters:  these are features for classifiers of engines, bells and voices, and a table of them looks like any other. The functions with
#           frames and the summary extract_core_features() are not concerned.
# Versions: audiofeat 1.1.1, torch 2.13.0, torchaudio 2.11.0, scipy 1.17.1, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   audiofeat 1.1.1
#   a resonance at 1 kHz, order 1: -0.926; SciPy: -0.926
#   a resonance at 1 kHz, order 2: -3.38 0.91; SciPy: -1.77 0.91
#   a resonance at 1 kHz, order 4: 1.28e+03 1.4e+06 3.34e+04 26; SciPy: -1.77 0.936 -0.0475 0.0259
#   a resonance at 1 kHz, order 12: 846 8.32e+05 -2.59e+06 -4.74e+05; SciPy: -1.77 0.934 -0.118 0.172
#   low-passed noise, cepstral coefficients: -0.895 0.394 -0.24; by definition: 0.9 0.405 0.243
#   high-passed noise, cepstral coefficients: 0.899 0.403 0.244; by definition: -0.9 0.405 -0.243
#   a bell of 500 Hz that is 20 dB softer after 115 ms, decay time: 0.50 ms
#   a bell of 500 Hz that is 20 dB softer after 2303 ms, decay time: 0.50 ms
#   a bell of 1000 Hz that is 20 dB softer after 115 ms, decay time: 0.25 ms
#   a bell of 1000 Hz that is 20 dB softer after 2303 ms, decay time: 0.25 ms
#   spectral features of two seconds of a tone, and of 128 ms of it and then noise: 8 of 8 are the same
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 torch==2.13.0
venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps audiofeat==1.1.1 torchaudio==2.11.0
# The compiled part of torchaudio needs the libraries of CUDA, also without a GPU. These features do not use it.
rm -f venv/lib/python3*/site-packages/torchaudio/lib/_torchaudio*.so

cat > check.py <<'PYTHON'
import warnings
from importlib.metadata import version

warnings.filterwarnings("ignore")

import audiofeat
import numpy as np
import torch
from scipy.linalg import solve_toeplitz
from scipy.signal import lfilter

RATE = 16_000
NOISE = np.random.default_rng(0).standard_normal(2 * RATE)
TIME = np.arange(2 * RATE) / RATE


def predicted(frame, order):
    """Return the coefficients of the same definition from SciPy's solver: of A(z) = 1 + a1 / z + a2 / z^2 + ..."""
    products = np.correlate(frame, frame, "full")[len(frame) - 1 :]
    return -solve_toeplitz(products[:order], products[1 : order + 1])


def cepstrum(coefficients):
    """Return the first cepstral coefficients of 1 / A(z)."""
    return 2 * np.fft.irfft(-np.log(np.abs(np.fft.rfft(np.r_[1, coefficients], 4096))))[1:4]


def text(numbers):
    return " ".join(f"{number:.3g}" for number in numbers)


print("audiofeat", version("audiofeat"))
resonance = lfilter([1], [1, -1.9 * np.cos(2 * np.pi * 1000 / RATE), 0.95**2], NOISE)[:2048] * np.hanning(2048)
ours, right = {}, {}
for order in (1, 2, 4, 12):
    ours[order] = audiofeat.lpc_coefficients(torch.tensor(resonance), order).numpy()
    right[order] = predicted(resonance, order)
    print(f"a resonance at 1 kHz, order {order}: {text(ours[order][:4])}; SciPy: {text(right[order][:4])}")
signs = {}
for name, coefficient in (("low", -0.9), ("high", 0.9)):
    sound = torch.tensor(lfilter([1], [1, coefficient], NOISE), dtype=torch.float32)
    signs[name] = audiofeat.lpcc(sound, RATE, n_lpcc=3).mean(0).numpy()
    print(f"{name}-passed noise, cepstral coefficients: {text(signs[name])}; by definition: {text(cepstrum([coefficient]))}")
lengths = {}
for tone in (500, 1000):
    for seconds in (0.05, 1):
        bell = torch.tensor(np.exp(-TIME / seconds) * np.sin(2 * np.pi * tone * TIME), dtype=torch.float32)
        lengths[tone, seconds] = 1000 * float(audiofeat.decay_time(bell, RATE, threshold_db=-20))
        print(f"a bell of {tone} Hz that is 20 dB softer after {2303 * seconds:.0f} ms, decay time: {lengths[tone, seconds]:.2f} ms")
tone = torch.tensor(np.sin(2 * np.pi * 500 * TIME), dtype=torch.float32)
then_noise = torch.where(torch.arange(2 * RATE) < 2048, tone, torch.tensor(NOISE, dtype=torch.float32))
features = {
    **dict.fromkeys(("sharpness", "roughness", "tonality", "irregularity"), {}),
    **dict.fromkeys(("slope", "entropy", "deviation", "crest_factor"), {"n_fft": 2048}),
}
same = []
for name, settings in features.items():
    feature = getattr(audiofeat, f"spectral_{name}")
    same += [name] if feature(tone, **settings) == feature(then_noise, **settings) else []
print(f"spectral features of two seconds of a tone, and of 128 ms of it and then noise: {len(same)} of {len(features)} are the same")
assert np.allclose(ours[1], right[1], atol=1e-6)
assert not np.allclose(ours[2], right[2], atol=0.1)
assert abs(ours[12]).max() > 1000
assert signs["low"][0] < -0.8 < 0.8 < signs["high"][0]
assert max(lengths.values()) < 1
assert len(same) == len(features)
PYTHON
venv/bin/python check.py
