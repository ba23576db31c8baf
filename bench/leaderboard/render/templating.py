"""The templates of the pages: Jinja files in `templates/`.

An HTML template escapes every value that it does not mark as safe. A Markdown template passes each text through the
filter `md`, for Jinja has no escaping of Markdown.
"""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bench.text import html, md, plain


def render(template: str, **values: Any) -> str:
    """Return a template filled with values.

    Args:
        template: name of its file; one that ends in `.html.j2` escapes each value.
        values: by name.

    Raises:
        jinja2.UndefinedError: the template uses a name that is not among the values.
    """
    return _environment(escape=template.endswith(".html.j2")).get_template(template).render(values)


@cache
def _environment(*, escape: bool) -> Environment:
    found = Environment(
        loader=PackageLoader(__package__),
        autoescape=escape,
        finalize=_escaped if escape else None,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters |= {"md": md, "plain": plain}
    return found


def _escaped(value: Any) -> Any:
    """Return a value as one line of escaped text; what is HTML already stays as it is."""
    return value if isinstance(value, Markup) else Markup(html(str(value)))
