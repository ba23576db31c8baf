"""Every front-end of this project: importing this module imports them all."""

from models.frontends import (
    chroma,
    cqt,
    deltas,
    gfcc,
    logmel,
    mfcc,
    none,
    tempogram,
    torchlibrosa,
    waveform,
    wavegram,
)

__all__ = [
    "chroma",
    "cqt",
    "deltas",
    "gfcc",
    "logmel",
    "mfcc",
    "none",
    "tempogram",
    "torchlibrosa",
    "waveform",
    "wavegram",
]
