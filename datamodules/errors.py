"""Errors of datasets, in a module of their own so that the decoder can be used without torch."""


class DataError(Exception):
    """Data is damaged or does not fit; the message names the files and the remedy.

    Attributes:
        code: kind of the error, for programs.
    """

    code = "data"


class DatasetMissing(DataError):  # noqa: N818 - it is a state of the disk more than a fault
    """A dataset is not on disk; the message says where it was looked for and how to get it."""

    code = "dataset-missing"
