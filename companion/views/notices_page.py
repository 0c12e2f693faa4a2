"""The inbox of service notices, and putting a banner away."""

import uuid

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from companion import service_notices


@login_required
@require_safe
def inbox(request: HttpRequest) -> HttpResponse:
    """Every notice that concerns this person; they count as seen once this page was opened."""
    assert isinstance(request.user, User)
    now = timezone.now()
    shown = service_notices.inbox(request.user, now)
    if request.method == "GET":
        service_notices.mark_seen(request.user, now)
    response = render(request, "companion/service_notices.html", {"service_notices": shown})
    response["Cache-Control"] = "no-store"
    return response


@login_required
@require_POST
def dismiss(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    assert isinstance(request.user, User)
    if not service_notices.dismiss(request.user, public_id, timezone.now()):
        raise Http404
    target = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure()):
        target = "service_notices"
    return redirect(target)
