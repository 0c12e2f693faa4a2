"""Times and words for the templates of the console."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from django import template

register = template.Library()


@register.filter
def ms(at: dt.datetime | None) -> str:
    """Milliseconds since 1970, for the page's clocks."""
    return str(int(at.timestamp() * 1000)) if at else ""


@register.filter
def span(at: dt.datetime | None, now_ms: int) -> str:
    """The time left as 2:31, 1:02:31 or 26 h; with a plus when it is over. clocks.js writes the same."""
    if at is None:
        return ""
    seconds = int(at.timestamp()) - now_ms // 1000
    sign, seconds = ("+" if seconds < 0 else ""), abs(seconds)
    hours, minutes = seconds // 3600, seconds // 60 % 60
    if hours >= 10:
        return f"{sign}{hours} h"
    return f"{sign}{hours}:{minutes:02}:{seconds % 60:02}" if hours else f"{sign}{minutes}:{seconds % 60:02}"


@register.filter
def word(of: Mapping[Any, Any], code: Any) -> str:
    """The word for a code; the code itself when there is none."""
    return str(of.get(code, code))
