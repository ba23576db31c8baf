"""Mirror of finished records in Weights & Biases. Training does not depend on it.

Read in this order: `mirror`, the suite's side; `child`, the process in which W&B runs; `charts`, the numbers of every
chart; `media`, the hardest clips and the artifacts; `dashboard`, the workspace with all panels.
"""

from bench.tracking.mirror import Mirror, Mode, Table, choose_mode

__all__ = ["Mirror", "Mode", "Table", "choose_mode"]
