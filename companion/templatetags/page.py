"""What base.html needs to know about how this reader wants to see pages."""

from typing import Any

from django import template
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from safety.resources import HelpLine, help_lines

register = template.Library()

HELP_COUNTRY = "CN"  # shown until somebody chooses another one
THEME_COOKIE = "anban_theme"
TEXT_COOKIE = "anban_text"
THEMES = ("auto", "light", "dark")
TEXT_SIZES = ("normal", "large", "largest")


@register.simple_tag(takes_context=True)
def chosen_theme(context: dict[str, Any]) -> str:
    return _choice(context, THEME_COOKIE, THEMES)


@register.simple_tag(takes_context=True)
def chosen_text(context: dict[str, Any]) -> str:
    return _choice(context, TEXT_COOKIE, TEXT_SIZES)


@register.simple_tag(takes_context=True)
def display_attributes(context: dict[str, Any]) -> SafeString:
    """Attributes of <html>. The server writes them, so the first paint is right and no script is needed."""
    return format_html(
        'data-theme="{}" data-text="{}"',
        _choice(context, THEME_COOKIE, THEMES),
        _choice(context, TEXT_COOKIE, TEXT_SIZES),
    )


@register.simple_tag
def every_help_line() -> list[HelpLine]:
    """For the page of a server error, which gets no context: it must need neither database nor session."""
    return help_lines(HELP_COUNTRY)


@register.simple_tag(takes_context=True)
def current(context: dict[str, Any], *names: str) -> SafeString:
    """`aria-current` for a link of the navigation when one of these pages is open."""
    request: HttpRequest | None = context.get("request")
    match = request.resolver_match if request else None
    return SafeString('aria-current="page"' if match and match.url_name in names else "")


def _choice(context: dict[str, Any], cookie: str, allowed: tuple[str, ...]) -> str:
    """A cookie comes from outside: anything unknown means the first choice."""
    request: HttpRequest | None = context.get("request")
    value = request.COOKIES.get(cookie, "") if request else ""
    return value if value in allowed else allowed[0]
