"""The panel of a minor: for their guardians, and the same page for the minor, who sees each time it was opened."""

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.models import AuditEntry, User
from companion import charts, erasure
from guardians import access, dashboard, links
from guardians.access import Right
from guardians.limits import effective_policy
from guardians.models import Guardianship, PanelOpening
from guardians.views import requests, roles, settings, spending

ONCE_IN: Final = dt.timedelta(minutes=1)  # openings that follow sooner are the same one
LIVE_FOR: Final = dt.timedelta(hours=1)  # a page that keeps itself up to date is noted again after this
LOG_DAYS: Final = 28
LOG_AT_MOST: Final = 50
# Parts that an open page fetches anew; their names are those of dashboard.stamps.
PARTS: Final[Mapping[str, str]] = {
    "today": "guardians/panel_today.html",
    "alerts": "guardians/panel_alerts.html",
    "requests": "guardians/_requests.html",
}


@login_required
@require_safe
def panel(request: HttpRequest, minor_id: uuid.UUID) -> HttpResponse:
    """For a guardian with the right to see it. That they opened it is noted first."""
    now = timezone.now()
    link = _link(request, minor_id, Right.VIEW)
    shown = _shown(link, now)
    _opened(link, now, ONCE_IN)
    role = access.role_of(link)
    page = shown | _set(link, now)
    page |= {
        "stamps": dashboard.stamps(link, now),
        "may_delete": role is not None and Right.DELETE in access.RIGHTS[role],
    }
    return _private(render(request, "guardians/panel.html", page))


@login_required
@require_safe
def part(request: HttpRequest, minor_id: uuid.UUID, name: str) -> HttpResponse:
    """One part of an open page as it is now: a fragment, asked for by the page's script."""
    now = timezone.now()
    link = _link(request, minor_id, Right.VIEW)
    if name not in PARTS:
        raise Http404
    shown = requests.context(link) if name == "requests" else _shown(link, now)
    _opened(link, now, LIVE_FOR)
    return _private(render(request, PARTS[name], shown))


@login_required
@require_safe
def mine(request: HttpRequest) -> HttpResponse:
    """What a guardian sees of the person who asks: the same page, without its buttons, and when it was opened."""
    user, now = _user(request), timezone.now()
    seeing = [link for link in links.of(user) if link.state == link.State.ACTIVE and _sees(link)]
    chosen = next((link for link in seeing if str(link.pk) == request.GET.get("of", "")), None)
    link = chosen or (seeing[0] if seeing else None)
    page: dict[str, Any] = {"mirror": True, "seeing": seeing, "link": link, "log": _log(user, now)}
    if link is None:
        if not effective_policy(user, now).is_minor:
            raise Http404
        return _private(render(request, "guardians/panel_nobody.html", page))
    link.minor = user
    page |= _shown(link, now) | _set(link, now)
    return _private(render(request, "guardians/panel.html", page))


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def history(request: HttpRequest, minor_id: uuid.UUID) -> HttpResponse:
    """Delete what was said, on the minor's behalf: with one companion that the panel names, or with all."""
    now = timezone.now()
    link = _link(request, minor_id, Right.DELETE)
    shown = _shown(link, now)
    named = [each for each in shown["panel"].companions if each.id is not None]
    page = shown | {"named": named}
    if request.method != "POST":
        return _private(render(request, "guardians/panel_history.html", page))
    whose = {str(each.id): each.id for each in named}
    chosen = request.POST.get("companion", "")
    if "sure" not in request.POST or (chosen != "all" and chosen not in whose):
        page["incomplete"] = True
        return _private(render(request, "guardians/panel_history.html", page, status=422))
    erasure.ask(link.minor, by=_user(request), now=now, persona=whose.get(chosen))
    messages.success(
        request,
        _(
            "Deleted, or as soon as nothing that our team still works on needs it. They see in their chats and on their "
            "page that it was you."
        ),
    )
    return redirect("panel", minor_id)


def _shown(link: Guardianship, now: dt.datetime) -> dict[str, Any]:
    """The panel with the drawing of its figures."""
    try:
        panel = dashboard.panel(link, now)
    except dashboard.OfAge:
        raise Http404 from None
    week = panel.days[-7:]
    newest, before = panel.weeks[-1], panel.weeks[-2]
    return {
        "panel": panel,
        "link": link,
        "minor": link.minor,
        "week_chart": charts.bars([(day.date, day.minutes) for day in week], panel.today.limit, figures=True)
        if week
        else None,
        "days_chart": charts.bars([(day.date, day.minutes) for day in panel.days], panel.today.limit, every=7)
        if panel.days
        else None,
        "weeks_chart": charts.bars([(each.first, each.minutes) for each in panel.weeks], figures=True),
        "total": sum(each.minutes for each in panel.weeks),
        "more": newest.minutes - before.minutes,
        "less": before.minutes - newest.minutes,
        "comparable": before.minutes > 0,
        "over": sum(alert.over for alert in panel.alerts),
    }


def _set(link: Guardianship, now: dt.datetime) -> dict[str, Any]:
    """What guardians themselves asked, set, settled and allowed to be bought."""
    return {
        **requests.context(link),
        **settings.context(link, effective_policy(link.minor, now)),
        **spending.context(link),
        **roles.context(link),
    }


def _opened(link: Guardianship, now: dt.datetime, once_in: dt.timedelta) -> None:
    """Two pages at once note one opening."""
    with transaction.atomic(durable=True):
        Guardianship.objects.select_for_update().get(pk=link.pk)
        recent = PanelOpening.objects.filter(minor=link.minor_id, guardian=link.guardian_id)
        if not recent.filter(opened_at__gt=now - once_in).exists():
            PanelOpening.objects.create(minor_id=link.minor_id, guardian_id=link.guardian_id, opened_at=now)


@dataclass(frozen=True)
class Entry:
    """Something a guardian did with the panel, as the minor reads it."""

    at: dt.datetime
    what: str  # opened, erased
    who: User | None


def _log(user: User, now: dt.datetime) -> list[Entry]:
    """Who opened the panel, and who deleted something, the newest first."""
    since = now - dt.timedelta(days=LOG_DAYS)
    openings = PanelOpening.objects.filter(minor=user, opened_at__gt=since).select_related("guardian")
    erased = AuditEntry.objects.filter(subject=user.pk, action="history.erased", at__gt=since)
    done = list(erased.exclude(actor=user.pk).order_by("-at")[:LOG_AT_MOST])
    people = User.objects.in_bulk([entry.actor for entry in done if entry.actor])
    log = [
        Entry(row.opened_at, "opened", row.guardian) for row in openings.order_by("-opened_at")[:LOG_AT_MOST]
    ]
    log += [Entry(entry.at, "erased", people.get(entry.actor) if entry.actor else None) for entry in done]
    return sorted(log, key=lambda entry: entry.at, reverse=True)[:LOG_AT_MOST]


def _sees(link: Guardianship) -> bool:
    role = access.role_of(link)
    return role is not None and Right.VIEW in access.RIGHTS[role]


def _link(request: HttpRequest, minor_id: uuid.UUID, right: Right) -> Guardianship:
    try:
        return access.link_of(_user(request), minor_id, right)
    except access.NotFound:
        raise Http404 from None


def _private(response: HttpResponse) -> HttpResponse:
    """The back button of a shared computer must not show it after logout."""
    response["Cache-Control"] = "no-store"
    return response


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)
