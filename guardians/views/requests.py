"""More time today: the minor asks in the chat, a guardian answers on a page. A GET never asks and never answers."""

import datetime as dt
import uuid
from http import HTTPStatus
from typing import Any, Final, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.models import User
from companion import usage
from guardians import access, requests
from guardians.access import Right
from guardians.limits import effective_policy
from guardians.models import Guardianship, TimeRequest
from guardians.requests import NotPossible, Over
from safety import care_notices, cases
from safety.models import CareNotice

NEAR: Final = 10  # minutes before the end of the day's time it can be asked for; as the page's first warning
NEWS: Final = dt.timedelta(minutes=10)  # an answer is told for so long
SHOWN: Final = dt.timedelta(days=14)

State = TimeRequest.State


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def ask(request: HttpRequest) -> HttpResponse:
    """What the minor's page says about more time: a fragment for its script, the chat again without one."""
    user, now = _user(request), timezone.now()
    if request.method == "POST":
        _ask(request, user, now)
        if "X-Requested-With" not in request.headers:
            return _back(request)
    elif "X-Requested-With" not in request.headers:
        return redirect("use")
    return render(request, "guardians/_ask.html", asking(user, now))


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def answer(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """One request: one tap gives minutes, or not today."""
    user, now = _user(request), timezone.now()
    asked = TimeRequest.objects.filter(pk=pk).first()
    if asked is None:
        raise Http404
    try:
        link = access.link_of(user, asked.minor_id, Right.EDIT)
        if request.method == "POST":
            return _answer(request, link, pk, now)
    except access.NotFound:
        raise Http404 from None
    return _page(request, link, pk, now)


def context(link: Guardianship) -> dict[str, Any]:
    """What templates/guardians/_requests.html shows: the request that waits, and what became of earlier ones.

    A page with `mirror` shows the same to the minor, without the buttons.
    """
    minor, now = link.minor, timezone.now()
    role = access.role_of(link)
    waiting = requests.open_of(minor, now)
    room = requests.today(minor, now).room
    rows = requests.recent(minor, now - SHOWN)
    return {
        "asks": {
            "minor": minor,
            "editable": role is not None and Right.EDIT in access.RIGHTS[role],
            "waiting": waiting,
            "choices": requests.choices(room),
            "past": [row for row in rows if waiting is None or row.pk != waiting.pk],
            "zone": effective_policy(minor, now).zone,
        }
    }


def asking(user: User, now: dt.datetime) -> dict[str, Any]:
    """What templates/guardians/_ask.html says: the newest request and, near the end of the time, the way to ask."""
    policy = effective_policy(user, now)
    if not policy.is_minor or policy.daily_minutes is None or cases.care_of(user.pk, now).muted:
        return {}  # in danger, nobody's time is counted
    standing = usage.standing(user.pk, policy)
    today = requests.today(user, now)
    near = standing.daily_left is not None and standing.daily_left <= NEAR and not standing.quiet_until
    newest = today.newest
    told = newest is not None and (
        newest.state == State.OPEN
        or (newest.state == State.DECLINED and near)
        or (newest.answered_at is not None and now - newest.answered_at < NEWS)
    )
    if not (told or near):
        return {}
    why = today.why if near and not told else ""
    return {
        "asking": {"told": newest if told else None, "choices": today.choices if near else (), "why": why}
    }


def _ask(request: HttpRequest, user: User, now: dt.datetime) -> None:
    minutes = _minutes(request)
    resting = usage.standing(user.pk, effective_policy(user, now)).quiet_until is not None
    if minutes is None or resting:
        return
    try:
        with transaction.atomic(durable=True):
            for gone in requests.outdated(now, user):
                care_notices.over(_about(gone), now)
            asked = requests.ask(user, minutes, now)
            care_notices.tell(
                CareNotice.Kind.TIME_REQUEST,
                user,
                _about(asked.pk),
                care_notices.guardian_recipients(user, Right.EDIT),
                now,
                minutes=minutes,
            )
    except NotPossible:
        return  # the page says how it stands


def _answer(request: HttpRequest, link: Guardianship, pk: uuid.UUID, now: dt.datetime) -> HttpResponse:
    minutes = _minutes(request)
    if minutes is None:
        return _page(request, link, pk, now, HTTPStatus.UNPROCESSABLE_ENTITY)
    try:
        with transaction.atomic(durable=True):
            care_notices.over(_about(pk), now)
            requests.answer(link, _user(request), pk, minutes, now)
    except Over:
        messages.warning(request, _("This is answered already, or its day is over. Nothing was changed."))
    except NotPossible:
        messages.error(request, _("There is not so much left to give today. Nothing was changed."))
        return _page(request, link, pk, now, HTTPStatus.UNPROCESSABLE_ENTITY)
    else:
        messages.success(request, _("Saved. They read it in their chat."))
    return redirect("time_request", pk)


def _page(
    request: HttpRequest, link: Guardianship, pk: uuid.UUID, now: dt.datetime, status: int = HTTPStatus.OK
) -> HttpResponse:
    asked = TimeRequest.objects.select_related("answered_by").get(pk=pk)
    minor = link.minor
    today = requests.today(minor, now)
    waiting = requests.open_of(minor, now)
    policy = effective_policy(minor, now)
    shown = {
        "asked": asked,
        "minor": minor,
        "waits": waiting is not None and waiting.pk == pk,
        "choices": requests.choices(today.room),
        "theirs": policy,  # `policy` is the reader's own
        "resting": usage.standing(minor.pk, policy).quiet_until,
    }
    return render(request, "guardians/request.html", shown, status=status)


def _back(request: HttpRequest) -> HttpResponse:
    try:
        return redirect("chat", uuid.UUID(request.POST.get("conversation", "")))
    except ValueError:
        return redirect("use")


def _minutes(request: HttpRequest) -> int | None:
    text = request.POST.get("minutes", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 3 else None


def _about(request: uuid.UUID) -> str:
    return f"request:{request}"


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)
