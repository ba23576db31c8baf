"""Loggers of a suite: Weights & Biases, CSV files, TensorBoard. Training depends on none of them.

Read in this order: `tracker`, what every logger does; `loggers`, the choice of them; `live`, the points of a training;
`csv_log` and `tensorboard_log`, which write files; `mirror`, the suite's side of W&B; `child`, the process in which W&B
runs; `wandb_runs`, what it writes; `charts`, the numbers of every chart; `media`, the hardest clips and the artifacts;
`dashboard`, the workspace with all panels.
"""

from bench.tracking.live import epoch_point, step_point
from bench.tracking.mirror import Mirror, Mode, choose_mode
from bench.tracking.tracker import Table, Tracker

__all__ = ["Mirror", "Mode", "Table", "Tracker", "choose_mode", "epoch_point", "step_point"]
