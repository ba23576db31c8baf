"""Imported by the fork server alone, before everything else: it keeps what dead children have left behind."""

import warnings

from bench.profiling.reaper import keep_orphans

keep_orphans()
warnings.filterwarnings("ignore", message="forkserver: waitpid returned unexpected pid")  # an orphan's
