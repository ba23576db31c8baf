"""Evaluation of time lines: a model's decisions over streams, what is done to them, and their scores."""

FRAME_RATE = 100
"""Frames a second at which decisions and targets are compared."""

HOP_SECONDS = 0.1
"""Time between two windows of a model without logits of its own for each frame."""

ONSET_COLLAR = 0.2
"""Seconds by which the start of a predicted event may be off."""

OFFSET_COLLAR_RATE = 0.2
"""Share of an event's length by which its end may be off, where that is more than the collar."""

SEGMENT_SECONDS = 1.0
"""Length of the segments of the segment-based F1."""
