"""Every component by name, as strings: adding one is a new file and an entry here. Importing this never imports torch.

The modules `models`, `fusions`, `frontends`, `datasets`, `metrics` and `backends` each have the entries of one kind and
the function that finds one by its name. Packages add components with entry points, and a name "package.module:Class"
stands for a class of any package (`bench.lookup` says which names may be imported).
"""

from bench.catalog.backends import BACKENDS, Backend, backend
from bench.catalog.datasets import DATASETS, Dataset, dataset, folds, has_files, task
from bench.catalog.frontends import FRONTENDS, Frontend, frontend
from bench.catalog.fusions import FUSIONS, Fusion, fusion
from bench.catalog.metrics import (
    METRICS,
    PRIMARY,
    SECOND_METRICS,
    STREAM_METRICS,
    STREAM_PRIMARY,
    Metric,
    metric,
)
from bench.catalog.models import MODELS, Model, model, system
from bench.catalog.names import find, load, nearest
from bench.catalog.packages import added, clashes
from bench.catalog.presence import missing, on_disk, place, why_absent

__all__ = [
    "BACKENDS",
    "DATASETS",
    "FRONTENDS",
    "FUSIONS",
    "METRICS",
    "MODELS",
    "PRIMARY",
    "SECOND_METRICS",
    "STREAM_METRICS",
    "STREAM_PRIMARY",
    "Backend",
    "Dataset",
    "Frontend",
    "Fusion",
    "Metric",
    "Model",
    "added",
    "backend",
    "clashes",
    "dataset",
    "find",
    "folds",
    "frontend",
    "fusion",
    "has_files",
    "load",
    "metric",
    "missing",
    "model",
    "nearest",
    "on_disk",
    "place",
    "system",
    "task",
    "why_absent",
]
