"""Errors of the harness. Each message says what is missing, where it was looked for, and what to change."""


class BenchError(Exception):
    """Base of every error a user of `bench` can mend; the command line prints it without a traceback."""


class SuiteError(BenchError):
    """A suite file, a name in it, or a command-line selection is wrong."""


class RecordError(BenchError):
    """A record on disk is damaged, was edited by hand, or is of an unknown schema."""


class RunError(BenchError):
    """A run cannot go on: a non-finite loss, a fusion member that has no result, ..."""


class ProfileError(BenchError):
    """A model's multiply-adds or latency cannot be measured truthfully."""
