"""Metrics: by clips, by other labels of the same clips, and of time lines."""

from dataclasses import dataclass

from bench.catalog.kinds import Kind, line
from bench.lookup import Package


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric's entry: what it is, the tasks it fits, and whether more is better.

    Attributes:
        line: what it is.
        tasks: "single" or "multi" label.
        higher_is_better: whether more is better.
        target: "module:function" of another package's metric; this project's are in `bench.evaluation.metrics`.
        package: the package that it comes from; None for this project.
    """

    line: str
    tasks: tuple[str, ...] = ("single", "multi")
    higher_is_better: bool = True
    target: str = ""
    package: Package | None = None


METRICS = {
    "accuracy": Metric(line="share of clips whose most probable class is correct", tasks=("single",)),
    "macro_f1": Metric(line="F1 averaged over classes", tasks=("single",)),
    "macro_precision": Metric(line="precision averaged over classes", tasks=("single",)),
    "macro_recall": Metric(line="recall averaged over classes", tasks=("single",)),
    "top5_accuracy": Metric(
        line="share of clips whose class is among the five most probable (more than 10 classes)", tasks=("single",)
    ),
    "sns": Metric(
        line='share of clips correctly classified as speech or not (three or more classes, one called "speech")',
        tasks=("single",),
    ),
    "mAP": Metric(line="average precision, mean over classes (one versus rest)"),
    "mAUC": Metric(line="area under the ROC curve, mean over classes (one versus rest)"),
    "d_prime": Metric(line="sensitivity index of the mean AUC", tasks=("multi",)),
    "ece": Metric(line="expected calibration error, 15 bins", tasks=("single",), higher_is_better=False),
    "nll": Metric(line="negative log-likelihood per clip", tasks=("single",), higher_is_better=False),
}

SECOND_METRICS = {
    "vggsounder_hit": Metric(
        line="share of VGGSound's test clips whose most probable class is among VGGSounder's audible labels (with the "
        "extra [vggsounder])",
        tasks=("single",),
    ),
    "vggsounder_mAP": Metric(
        line="average precision by VGGSounder's audible labels, mean over classes", tasks=("single",)
    ),
}
"""By other labels of the same test clips, next to the scores by the official ones; `bench.evaluation.second_labels`."""

STREAM_METRICS = {
    "frame_accuracy": Metric(
        line="share of the frames of 10 ms of all test streams whose class is right", tasks=("single",)
    ),
    "frame_sns": Metric(
        line="share of the frames that are correctly classified as speech or not (three or more classes, one called "
        '"speech")',
        tasks=("single",),
    ),
    "event_f1": Metric(
        line="F1 of events, all classes together: start within 200 ms, end within 200 ms or 20 % of the event's length",
        tasks=("single",),
    ),
    "segment_f1": Metric(line="F1 of the classes in each second, all classes together", tasks=("single",)),
    "psds": Metric(
        line="polyphonic sound detection score, scenario 1 (with the extra [segmentation])", tasks=("single",)
    ),
    "segment_mAP": Metric(
        line="average precision of the classes in each second, mean over classes (with the extra [segmentation])",
        tasks=("single",),
    ),
}
"""Metrics of time lines, for datasets of streams; `bench.evaluation.segmentation`."""

STREAM_PRIMARY = "frame_accuracy"
"""The metric that ranks on datasets of streams."""

PRIMARY = {"single": "accuracy", "multi": "mAP"}
"""The metric that ranks and that selects the best epoch on validation, by task."""


def _of_package(target: str, package: Package) -> Metric:
    return Metric(target=target, line=line(target, package), package=package)


KIND = Kind("metrics", "metric", METRICS, _of_package)


def metric(name: str) -> Metric:
    """Return a metric's entry."""
    return KIND.entry(name)
