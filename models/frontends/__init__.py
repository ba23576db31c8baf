"""Waveform to features: each front-end is a module inside the model, so it is moved, counted and timed with it."""
