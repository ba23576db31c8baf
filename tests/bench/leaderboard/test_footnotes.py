"""Words on the metrics of a table."""

from importlib import import_module

footnotes = import_module("bench.leaderboard.render.footnotes")


def test_scores_of_whole_files_are_no_metric_of_another_package() -> None:
    assert footnotes._line("accuracy_per_file") == "accuracy of whole files, by the mean of the logits of their pieces"
    assert footnotes._line("clips_per_file") == "a metric of another package"
