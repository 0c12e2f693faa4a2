"""Simple mode (长辈版): an own set of pages with large type, and where the wish for it is kept.

Whoever is signed in has it on every device, as a preference of the account; a visitor keeps it in this browser.
"""

from typing import Final

from django.http import HttpRequest, HttpResponseBase

from accounts.models import User

COOKIE: Final = "anban_simple"
_KEPT: Final = 365 * 24 * 3600  # seconds


def chosen(request: HttpRequest) -> bool:
    user = getattr(request, "user", None)
    return user.simple_mode if isinstance(user, User) else wished_by_visitor(request)


def wished_by_visitor(request: HttpRequest) -> bool:
    """What this browser asked for before anybody signed in; sign-up takes it over into the account."""
    return request.COOKIES.get(COOKIE) == "on"


def keep_for_visitor(request: HttpRequest, response: HttpResponseBase, *, on: bool) -> None:
    if on:
        response.set_cookie(
            COOKIE,
            "on",
            max_age=_KEPT,
            secure=request.is_secure(),
            httponly=True,
            samesite="Lax",
        )
    else:
        response.delete_cookie(COOKIE, samesite="Lax")


def page_for(request: HttpRequest, ordinary: str, simple: str) -> str:
    """The template of a page whose layout differs in simple mode."""
    return simple if chosen(request) else ordinary
