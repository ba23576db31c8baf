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


MATPLOTLIB = """
import sys
import bench.runner.preloaded
early = "matplotlib" in sys.modules
import torch
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassConfusionMatrix, MultilabelConfusionMatrix
matrix, mean = MulticlassConfusionMatrix(2), MeanMetric()
matrix(torch.tensor([0, 1, 1]), torch.tensor([0, 1, 0]))
mean(3.0)
_, axes = matrix.plot()
_, line = mean.plot()
several = MultilabelConfusionMatrix(3)
several(torch.rand(9, 3), torch.ones(9, 3, dtype=int))
several.plot()  # on a grid of axes
import matplotlib.axes
print(early, axes.get_xlabel(), isinstance(line, matplotlib.axes.Axes))
"""


@pytest.mark.process
def test_a_metric_is_plotted_by_matplotlib_which_is_imported_then() -> None:
    env = os.environ | {"MPLBACKEND": "Agg"}
    done = subprocess.run([sys.executable, "-c", MATPLOTLIB], capture_output=True, text=True, check=True, env=env)
    assert done.stdout.split("\n")[0] == "False Predicted class True"


COMPILED = """
import sys
import bench.runner.preloaded
early = any(each.startswith("torch.distributed.fsdp") for each in sys.modules)
import torch
net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU())
x = torch.randn(4, 3)
from torch.distributed import fsdp
assert "fully_shard" in dir(fsdp) and fsdp.__all__
same = torch.equal(torch.compile(net, backend="aot_eager")(x), net(x))
from torch.distributed.fsdp import FSDPModule, fully_shard
print(early, same, torch.distributed.fsdp.FSDPModule is FSDPModule, torch.distributed.fsdp._fully_shard.__name__)
"""


@pytest.mark.process
def test_a_model_is_compiled_and_fsdp_imported_by_whoever_needs_it() -> None:
    done = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "True", "torch.distributed.fsdp._fully_shard"]


LATER = """
import os, signal, sys, time
import bench.runner.preloaded as preloaded
loaded = []
preloaded.measure.preload_kernels = lambda: (loaded.append(os.getpid()), 1 / 0)
reader, writer = os.pipe()
child = os.fork()
if not child:
    os.write(writer, str(signal.getsignal(signal.SIGALRM) == signal.SIG_DFL).encode())
    os._exit(0)
until = time.monotonic() + 10
while not loaded and time.monotonic() < until:
    time.sleep(0.05)
os.waitpid(child, 0)
print(loaded == [os.getpid()], os.read(reader, 10).decode(), signal.getsignal(signal.SIGALRM) == signal.SIG_DFL)
"""


@pytest.mark.process
def test_the_fork_server_loads_kernels_a_moment_later_and_survives_that_they_fail() -> None:
    done = subprocess.run([sys.executable, "-c", LATER], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "True"]


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
