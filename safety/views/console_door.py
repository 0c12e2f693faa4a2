"""The door of the console: the admin's login with its second step, and one of the two roles behind it."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_http_methods

from accounts.models import User
from safety import cases
from safety.models import CrisisCase

View = Callable[..., HttpResponse]


def door(method: str) -> Callable[[View], View]:
    """Only this method, only moderators and operators; who is staff for another reason finds nothing here."""

    def guard(view: View) -> View:
        @wraps(view)
        def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            user = request.user
            if not isinstance(user, User) or user.role not in cases.STAFF:
                raise Http404
            response = view(request, user, *args, **kwargs)
            response["Cache-Control"] = "no-store"  # shared computers have a back button
            return response

        # Looked up when a request comes, because accounts.staff guards the site at start.
        @wraps(view)
        @require_http_methods([method])
        def outer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            response: HttpResponse = admin.site.admin_view(inner)(request, *args, **kwargs)
            return response

        return outer

    return guard


def find(pk: int, staff: User) -> CrisisCase:
    """Any case but one's own; absent and one's own are the same 404."""
    rows = CrisisCase.objects.select_related("user", "holder", "acknowledged_by", "closed_by")
    return get_object_or_404(rows.exclude(user=staff), pk=pk, is_canary=False)
