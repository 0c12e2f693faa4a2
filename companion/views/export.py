"""A copy of one's own data: what is in it, and the download after a fresh look at who asks."""

import uuid
from collections.abc import AsyncIterator, Iterator
from itertools import islice

from allauth.account.internal.flows.reauthentication import did_recently_reauthenticate
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.models import User
from companion import export, offload

_PIECES = 100  # sent together
_TYPES = {"json": "application/json; charset=utf-8", "html": "text/html; charset=utf-8"}


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponseBase:
    """No gate stands before it: who is suspended, young, or has lost a companion keeps the right to a copy."""
    assert isinstance(request.user, User)
    user, form = request.user, request.POST.get("form", "")
    confirmed = did_recently_reauthenticate(request)
    if request.method != "POST" or form not in export.FORMATS:
        return _private(render(request, "companion/export.html", {"confirmed": confirmed}))
    if not confirmed:
        return redirect(f"{reverse('account_reauthenticate')}?next={reverse('export')}")
    if not export.may_export(user):
        messages.warning(request, _("You have made several copies just now. Please try again in an hour."))
        return _private(render(request, "companion/export.html", {"confirmed": True}, status=429))
    now, produce_id = timezone.now(), uuid.uuid4()
    with transaction.atomic(durable=True):
        export.note(user, produce_id, form)
    write = export.as_json if form == "json" else export.as_html
    response = StreamingHttpResponse(
        _stream(write(user, produce_id, now), user.language), content_type=_TYPES[form]
    )
    name = f"anban-{now:%Y-%m-%d}.{form}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return _private(response)


async def _stream(pieces: Iterator[str], language: str) -> AsyncIterator[bytes]:
    """A batch at a time, each in a database thread: the page server holds one batch, and others have their turn."""
    while batch := await offload.run(_some, pieces, language):
        yield batch


def _some(pieces: Iterator[str], language: str) -> bytes:
    with translation.override(language):
        return "".join(islice(pieces, _PIECES)).encode("utf-8", "replace")


def _private(response: HttpResponseBase) -> HttpResponseBase:
    response["Cache-Control"] = "no-store"
    return response
