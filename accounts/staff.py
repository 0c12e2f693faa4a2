"""The admin's door: allauth's login, because Django's own would skip the second step (threat T25)."""

from functools import wraps
from typing import Any

from allauth.account.decorators import secure_admin_login
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from accounts.models import User


def mfa_required() -> bool:
    return bool(getattr(settings, "STAFF_MFA_REQUIRED", settings.PRODUCTION))


def has_second_step(user: User) -> bool:
    """An authenticator app or a passkey is set up; allauth then asks for it at every login."""
    return bool(is_mfa_enabled(user))


def guard_admin() -> None:
    """Called once at start: whoever includes `admin.site.urls` gets the guarded site."""
    site = admin.site
    site.site_header = site.site_title = "Anban"
    plain_view, plain_context = site.admin_view, site.each_context

    def admin_view(view: Any, cacheable: bool = False) -> Any:
        inner = plain_view(view, cacheable)

        @wraps(inner)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            user = request.user
            if isinstance(user, User) and user.is_staff and mfa_required() and not has_second_step(user):
                messages.warning(request, _("Please set up two-step verification before you work here."))
                return redirect("mfa_index")
            response: HttpResponse = inner(request, *args, **kwargs)
            return response

        return guarded

    def each_context(request: HttpRequest) -> dict[str, Any]:
        user = request.user
        unsafe = isinstance(user, User) and user.is_staff and not has_second_step(user)
        return {**plain_context(request), "staff_without_second_step": unsafe}

    site.admin_view = admin_view  # type: ignore[method-assign]
    site.each_context = each_context  # type: ignore[method-assign]
    site.login = secure_admin_login(site.login)  # type: ignore[method-assign]
