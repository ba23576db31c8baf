"""What the fork server imports for all children."""

import os
import subprocess
import sys
from pathlib import Path

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


GREEDY = """
from importlib.machinery import PathFinder
from pathlib import Path
from scipy.signal import butter
import sys
real = PathFinder.find_spec("torchmetrics", [each for each in sys.path if each != HERE])
__file__, __path__ = real.origin, list(real.submodule_search_locations)
exec(compile(Path(__file__).read_text(), __file__, "exec"))
"""


@pytest.mark.process
def test_a_torchmetrics_that_takes_more_of_scipys_signals_gets_them(tmp_path: Path) -> None:
    package = tmp_path / "torchmetrics"
    package.mkdir()
    (package / "__init__.py").write_text(f"HERE = {str(tmp_path)!r}\n{GREEDY}")
    code = (
        "import bench.runner.preloaded, scipy.signal, torchmetrics; print(torchmetrics.butter is scipy.signal.butter)"
    )
    paths = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": paths}
    )
    assert done.stdout.split() == ["True"]
