"""Templates of the pages that a run, or a comparison of runs, is shown on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lawtags_client.errors import MissingExtraError
from lawtags_client.terminal import escape_controls

if TYPE_CHECKING:
    from jinja2 import Template


def page_template(name: str) -> Template:
    """A template of a page.

    Args:
        name: of its file.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError:
        raise MissingExtraError("jinja2", "report", "the report") from None
    # Everything that comes from data is escaped; only our own charts and the data card are markup.
    environment = Environment(
        loader=PackageLoader("lawtags_client.runs"),
        autoescape=True,
        undefined=StrictUndefined,
        # A page that is shown in a terminal must not steer it.
        finalize=lambda value: escape_controls(value, lines=True) if type(value) is str else value,
        trim_blocks=True,
    )
    return environment.get_template(name)
