"""Errors of models; each message says what to change."""


class ModelError(ValueError):
    """A model or front-end cannot be built or run with these arguments.

    Attributes:
        code: kind of the error, for programs.
    """

    code = "model"


class TrainingError(ModelError):
    """A training cannot go on: a loss that is not finite, a recipe that does not fit the model or the data."""

    code = "training"
