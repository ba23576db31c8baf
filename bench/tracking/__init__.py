"""Weights & Biases as a mirror of finished records, never a part of a training.

Read in this order: `mirror`, the suite's end; `child`, the process that W&B runs in; `charts`, the numbers of every
chart; `media`, the worst mistakes and the artifacts; `dashboard`, the workspace that shows it all.
"""

from bench.tracking.mirror import Mirror, Mode, Table, choose_mode

__all__ = ["Mirror", "Mode", "Table", "choose_mode"]
