"""What the fork server imports for all children."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
import bench.runner.preloaded
early = "scipy.signal" in sys.modules
import scipy
from scipy.signal import windows
import torchmetrics
print(early, scipy.signal.windows is windows, len(scipy.signal.butter(2, 0.5)), torchmetrics.MeanMetric()(3.0).item())
"""


@pytest.mark.process
def test_scipys_signals_are_imported_whole_by_whoever_needs_them() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "2", "3.0"]
