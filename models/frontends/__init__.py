"""Front-ends, from waveform to features: modules inside the model, which are moved, counted and timed with it."""
