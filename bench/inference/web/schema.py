"""The description of the interface: what a request holds, and what its answers hold."""

from typing import Any

SUMMARY = "Classifies one sound at a time with trained models."
HOP = "Seconds from the start of a window to the next, for sounds longer than a clip; the length of a clip by default."

_NUMBER: dict[str, Any] = {"type": "number"}
_TEXT: dict[str, Any] = {"type": "string"}
_NUMBERS: dict[str, Any] = {"type": "array", "items": _NUMBER}
_TEXTS: dict[str, Any] = {"type": "array", "items": _TEXT}


def _object(description: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "description": description, "properties": properties}


_ERROR = _object(
    "What is wrong.",
    error=_object("The error.", code=_TEXT | {"description": "its kind"}, message=_TEXT | {"description": "words"}),
)
_ANSWER = _object(
    "The classes of a sound.",
    file=_TEXT | {"description": "name of the file"},
    run=_TEXT,
    task=_TEXT | {"description": "`single` or `multi` label"},
    seconds=_NUMBER | {"description": "length of the sound"},
    sample_rate=_NUMBER | {"description": "of the model, in hertz"},
    clip_seconds=_NUMBER | {"description": "length of a window"},
    top={
        "type": "array",
        "description": "the likeliest classes; a probability is the mean over all windows",
        "items": _object("A class.", **{"class": _TEXT, "probability": _NUMBER}),
    },
    windows=_object(
        "The same classes over time.",
        starts=_NUMBERS,
        ends=_NUMBERS,
        classes=_TEXTS,
        probabilities={"type": "array", "items": _NUMBERS, "description": "of each window, of each class"},
    ),
    waveform=_object(
        "With `pictures`: the highest and the lowest sample of each column.",
        seconds_per_column=_NUMBER,
        high=_NUMBERS,
        low=_NUMBERS,
    ),
    spectrogram=_object(
        "With `pictures`: bytes from 0 for `low` to 255 for `high` decibels, band by band from the lowest, in base64.",
        bands=_NUMBER,
        columns=_NUMBER,
        seconds_per_column=_NUMBER,
        low=_NUMBER,
        high=_NUMBER,
        hertz=_NUMBERS,
        values=_TEXT,
    ),
)

BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "contentMediaType": "audio/*", "description": "one audio file"}
                    },
                }
            }
        },
    }
}


def _refusal(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": _ERROR}}}


_TOKEN: dict[int | str, dict[str, Any]] = {401: _refusal("The token is missing or wrong.")}
PREDICT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": (
            "The classes. With `Accept: application/x-ndjson`, lines of JSON: `progress` several times, then `answer`, "
            "or `error` and `status`. The work stops when the connection is closed."
        ),
        "content": {"application/json": {"schema": _ANSWER}},
    },
    400: _refusal("The form is damaged, or there is no such parameter."),
    **_TOKEN,
    403: _refusal("The request comes from a page of another site."),
    408: _refusal("The file did not arrive in time."),
    413: _refusal("The file is too large."),
    415: _refusal("The body is no form."),
    421: _refusal("The request names another host."),
    422: _refusal("The file is no sound that can be used, or a parameter is wrong; the message says why."),
    503: _refusal("Too many sounds are waiting, or the server is stopping; `Retry-After` says when to try again."),
}
RUNS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The runs, the largest file, the longest sound, and the endings of files that are taken.",
        "content": {
            "application/json": {
                "schema": _object(
                    "Runs and limits.",
                    runs={
                        "type": "array",
                        "items": _object(
                            "A run.", run=_TEXT, classes=_TEXTS, task=_TEXT, sample_rate=_NUMBER, clip_seconds=_NUMBER,
                            device=_TEXT, model=_TEXT, dataset=_TEXT,
                        ),
                    },
                    max_bytes=_NUMBER,
                    max_seconds=_NUMBER,
                    endings=_TEXTS,
                )
            }
        },
    },
    **_TOKEN,
}  # fmt: skip
