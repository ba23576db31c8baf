"""The templates of the pages: Jinja files in `templates/`, where any text stays text.

In an HTML template every value is escaped, unless the template says that it is safe. Markdown has no such rule in
Jinja: its templates pass each text through the filter `md`.
"""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bench.render.text import html, md, plain


def render(template: str, **values: Any) -> str:
    """Return a template filled with values.

    Args:
        template: name of its file; one that ends in `.html.j2` escapes each value.
        values: by name; a name that the template uses and that is missing is an error.
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
