"""Constructor arguments that an object remembers, so that a checkpoint can hold them and the object be built again."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

Plain = None | bool | int | float | str | list["Plain"] | tuple["Plain", ...] | dict[str, "Plain"]
"""Content that a checkpoint can hold without pickles."""


def remembers(cls: type) -> None:
    """Make a class whose objects keep the arguments of their construction; for __init_subclass__.

    `given_arguments` are those of the outermost constructor as plain content, by name, without defaults that were not
    given. `left_out_arguments` are the names of those that are no plain content.
    """
    if "__init__" not in vars(cls):
        return
    initialise: Callable[..., None] = vars(cls)["__init__"]
    signature = inspect.signature(initialise)

    @wraps(initialise)
    def remembering(self: Any, *args: Any, **kwargs: Any) -> None:
        if "given_arguments" not in vars(self):
            given = dict(signature.bind(self, *args, **kwargs).arguments)
            given.pop(next(iter(signature.parameters)))
            for name, parameter in signature.parameters.items():
                if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                    given |= given.pop(name, {})
            kept = {name: value for name, value in given.items() if is_plain(value)}
            vars(self)["given_arguments"] = {name: plain(value) for name, value in kept.items()}
            vars(self)["left_out_arguments"] = tuple(given.keys() - kept.keys())
        initialise(self, *args, **kwargs)

    remembering.__signature__ = signature  # type: ignore[attr-defined]  # Lightning does not follow __wrapped__
    cls.__init__ = remembering  # type: ignore[misc]


def is_plain(value: Any) -> bool:
    """Return whether `plain` takes the value."""
    try:
        plain(value)
    except TypeError:
        return False
    return True


def plain(value: Any) -> Plain:
    """Return a copy of a value that is plain content.

    Raises:
        TypeError: the value is, or contains, anything else.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        items = [plain(item) for item in value]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        return {name: plain(item) for name, item in value.items()}
    raise TypeError(f"{type(value).__name__} is no plain content")
