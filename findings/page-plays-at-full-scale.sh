#!/usr/bin/env bash
# A web page of Gradio or Streamlit plays every sound of floats at full scale: a whisper is as loud as a shout.
#
# Guess:    gr.Audio() and st.audio() play an array of floats between -1 and 1 as it is.
# Happens:  a tone of amplitude 0.01 comes out with a peak of 1.00, as does one of 0.1. The same tone in 16-bit integers is
#           left as it is by Gradio. Gradio warns that it converts "from float32 to 16-bit int format", and not that it
#           scales; Streamlit says nothing on the page.
# Cause:    both divide by the largest absolute value before they round to 16 bits.
# Matters:  a page that lets people listen to added noise at 20, 10 and 0 dB, to a separated source next to its mixture, or
#           to a clip that a model calls silent, plays all of them equally loud.
# Versions: gradio 6.31.0, streamlit 1.67.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   gradio 6.31.0, streamlit 1.67.0
#   tone of 0.1 in float32: gradio plays a peak of 1.000, streamlit 1.000
#   tone of 0.01 in float32: gradio plays a peak of 1.000, streamlit 1.000
#   tone of 0.01 in int16: gradio plays a peak of 0.010
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 gradio==6.31.0 streamlit==1.67.0

cat > check.py <<'PYTHON'
import wave
from io import BytesIO

import gradio
import numpy as np
import streamlit
from streamlit.elements import media

RATE = 16_000
tone = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)


def peak(file):
    with wave.open(file) as sound:
        return np.abs(np.frombuffer(sound.readframes(RATE), np.int16).astype(int)).max() / 32768


def gradio_peak(sound):
    return peak(str(gradio.Audio().postprocess((RATE, sound)).path))


def streamlit_peak(sound):
    return peak(BytesIO(media._maybe_convert_to_wav_bytes(sound, RATE)))  # which st.audio calls


print(f"gradio {gradio.__version__}, streamlit {streamlit.__version__}")
for level in (0.1, 0.01):
    sound = (level * tone).astype(np.float32)
    one, other = gradio_peak(sound), streamlit_peak(sound)
    print(f"tone of {level} in float32: gradio plays a peak of {one:.3f}, streamlit {other:.3f}")
    assert one > 0.99
    assert other > 0.99
kept = gradio_peak((0.01 * 32767 * tone).astype(np.int16))
print(f"tone of 0.01 in int16: gradio plays a peak of {kept:.3f}")
assert abs(kept - 0.01) < 1e-3
PYTHON
GRADIO_ANALYTICS_ENABLED=False venv/bin/python check.py 2> errors || { cat errors >&2; exit 1; }
